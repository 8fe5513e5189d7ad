"""Who signed the model: checked before it is loaded, in every place that a model may lie in."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from components.common.errors import ModelError
from governance import signing
from serving.models.signed import check_signature
from serving.models.source import Source
from tests.serving.conftest import Start, as_row


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
