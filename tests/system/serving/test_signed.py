"""Who signed the model: checked before it is loaded, in every place that a model may lie in."""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from almanac.core.errors import ModelError, ServingError
from almanac.core.files import read_json, write_json
from governance import signing
from governance.registry import Registry, collect
from serving.prediction.signed import check_signature
from serving.prediction.source import Source
from tests.support.background import in_background
from tests.support.bundles import document_files
from tests.support.server import Start, altered, as_row


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    signing.generate_key(path)
    return path


@pytest.fixture
def run(tmp_path: Path, model_dir: Path, key: Path) -> Path:
    """A run directory as the pipeline leaves it: model/ and governance/ with its signature."""
    shutil.copytree(model_dir, tmp_path / "run" / "model")
    signing.sign(tmp_path / "run" / "model", tmp_path / "run" / "governance", key)
    return tmp_path / "run"


def _published(run: Path) -> Path:
    """Lay the model out as the registry does for KServe, with the signature inside."""
    target = run.parent / "mnt"
    shutil.copytree(run / "model", target)
    (target / "signature").mkdir()
    for suffix in ("sig", "pub"):
        shutil.copy(run / "governance" / f"model.{suffix}", target / "signature" / f"0123456789abcdef.{suffix}")
    return target


@pytest.mark.parametrize("published", [False, True])
def test_a_signed_model_is_loaded(run: Path, published: bool) -> None:
    place = _published(run) if published else run
    trusted = run / "governance" / "model.pub"
    assert Source(str(place)).load().digest == Source(str(place), trusted).load().digest


def test_a_signed_directory_without_a_manifest_is_no_model(run: Path, key: Path) -> None:
    (run / "model" / "manifest.json").unlink()
    signing.sign(run / "model", run / "governance", key)
    with pytest.raises(ModelError, match=r"model.sig: signs no manifest.json; give a model directory"):
        Source(str(run / "model")).load()


@pytest.fixture
def website(tmp_path: Path, run: Path) -> Iterator[tuple[str, Path]]:
    """A web server before a registry that published the signed run: the copy's URL and directory."""
    registry = Registry(tmp_path / "registry")
    files = collect(run / "model", "model")
    number = registry.register("air_quality", files, who="ann", why="first")
    signatures = {f"governance/model.{suffix}": run / "governance" / f"model.{suffix}" for suffix in ("sig", "pub")}
    documents = document_files(tmp_path / "documents", files) | signatures
    registry.attach_documents("air_quality", number, documents, who="ann", why="documented")
    copy = Path(registry.publish("air_quality", number))
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(copy)))) as url:
        yield url, copy


def test_a_web_servers_model_is_loaded_with_the_trusted_keys_signature(
    website: tuple[str, Path], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feature_rows: np.ndarray
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    trusted = tmp_path / "trusted.pub"
    # As an editor on another system writes it: the same key, not the same bytes.
    trusted.write_bytes((run / "governance" / "model.pub").read_bytes().replace(b"\n", b"\r\n"))
    bundle = Source(website[0] + "/", trusted).load()
    assert bundle.digest == Source(website[0]).load().digest == Source(str(run)).load().digest
    assert list((tmp_path / "temporary").iterdir()) == []
    target, here = bundle.targets["pm25_1h"], Source(str(run)).load().targets["pm25_1h"]
    assert target.predict(feature_rows).rows() == here.predict(feature_rows).rows()
    few = feature_rows[:100]
    np.testing.assert_array_equal(target.explain(few)[0], here.explain(few)[0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("signature", "no signature was found, and only models signed with"),
        ("pm25_1h/intervals.json", "intervals.json: not the file that"),
        ("manifest.json", "manifest.json: lists no files"),
    ],
)
def test_a_web_servers_model_is_refused_by_its_url(
    website: tuple[str, Path], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, message: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    url, copy = website
    if spoil == "signature":
        shutil.rmtree(copy / spoil)
    else:
        (copy / spoil).chmod(0o644)
        (copy / spoil).write_text("[]")
    with pytest.raises(ServingError, match=rf"^--model {url}: .*{message}") as raised:
        Source(url, run / "governance" / "model.pub").load()
    assert "almanac-model-" not in str(raised.value)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("published", [False, True])
def test_another_key_is_refused(run: Path, published: bool, tmp_path: Path) -> None:
    place = _published(run) if published else run
    other = tmp_path / "other.pem"
    signing.generate_key(other)
    public = tmp_path / "other.pub"
    public.write_bytes(signing.public_key(other))
    with pytest.raises(ModelError, match="not signed with the key"):
        Source(str(place), public).load()


def test_one_good_signature_of_several_is_enough(run: Path, tmp_path: Path) -> None:
    place = _published(run)
    other = tmp_path / "other.pem"
    signing.generate_key(other)
    signing.sign(run / "model", tmp_path / "signed", other)
    for suffix in ("sig", "pub"):
        shutil.copy(tmp_path / "signed" / f"model.{suffix}", place / "signature" / f"fedcba9876543210.{suffix}")
    for public in (run / "governance" / "model.pub", tmp_path / "signed" / "model.pub"):
        Source(str(place), public).load()


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("change", ["altered", "additional", "missing"])
def test_what_was_not_signed_is_refused(run: Path, published: bool, change: str) -> None:
    place = _published(run) if published else run
    model = place if published else run / "model"
    if change == "altered":
        body = model / "pm25_1h" / "intervals.json"
        body.write_bytes(body.read_bytes() + b" ")
    elif change == "additional":
        (model / "pm25_1h" / "more.json").write_text("{}")
    else:
        (model / "pm25_6h" / "intervals.json").unlink()
    with pytest.raises(ModelError, match=r"intervals\.json|more\.json"):
        Source(str(place)).load()


@pytest.mark.parametrize("signed", [False, True])
def test_a_model_that_is_exchanged_after_its_check_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed: bool
) -> None:
    """Whole and consistent in itself, but not what was signed or registered."""

    def widen(target: Path) -> None:
        write_json(target / "intervals.json", read_json(target / "intervals.json") | {"nominal": 0.5})

    other = altered(run / "model", tmp_path / "other", widen)
    address = str(run / "model")
    if not signed:
        shutil.rmtree(run / "governance")
        monkeypatch.setenv("ALMANAC_REGISTRY", str(tmp_path / "registry"))
        monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
        registry, files = Registry(tmp_path / "registry"), collect(run / "model", "model")
        number = registry.register("air", files, who="ann", why="first")
        address = f"registry:air/{number}"

    def exchange(model: Path, trusted: Path | None) -> str | None:
        checked = check_signature(model, trusted)
        shutil.rmtree(model)
        shutil.copytree(other, model)
        return checked

    source = Source(address)
    source.load()
    monkeypatch.setattr("serving.prediction.source.check_signature", exchange)
    with pytest.raises(ModelError, match="was exchanged while it was loaded"):
        source.load()


def test_an_unsigned_model_is_refused_where_a_key_is_trusted(model_dir: Path, run: Path) -> None:
    check_signature(model_dir, None)
    with pytest.raises(ModelError, match="no signature was found"):
        check_signature(model_dir, run / "governance" / "model.pub")


def test_a_signature_without_its_key_is_not_believed(run: Path) -> None:
    (run / "governance" / "model.pub").unlink()
    with pytest.raises(ModelError, match="cannot be checked without"):
        Source(str(run)).load()


def test_the_server_serves_only_what_the_trusted_key_signed(start: Start, run: Path, feature_rows: np.ndarray) -> None:
    server = start("--trusted-key", str(run / "governance" / "model.pub"), model=run)
    body = {"instances": [as_row(feature_rows[0])]}
    assert server.post("/v1/models/pm25_1h:predict", body).status == 200
