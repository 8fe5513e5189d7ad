"""The first tasks of every pipeline: the use case that it carries, and the fingerprint of its sources."""

from pathlib import Path

import pytest

from almanac.core.errors import PipelineError, RegistryError, SourceError, UseCaseError
from almanac.usecase import UseCase, dump, load
from almanac.usecase.packed import VARIABLE, label, pack
from components.configuration.task import run
from components.fingerprint.task import run as fingerprint
from components.ingestion.task import run as ingest
from components.preflight.task import run as preflight
from governance.registry.carried import put_use_case
from governance.registry.stores import open_store
from governance.signing import generate_key
from tests.support import small

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> UseCase:
    case = load(ROOT / "usecases" / "air_quality.yaml")
    monkeypatch.setenv(VARIABLE, pack(case))
    return case


def test_the_use_case_comes_out_as_it_went_in(carried: UseCase, tmp_path: Path) -> None:
    metadata = run(label(carried), "", "registry", "local", tmp_path / "usecase")
    assert (tmp_path / "usecase").read_text() == dump(carried)
    assert metadata["use_case"] == "air_quality" and len(metadata["use_case_digest"]) == 64


def test_overrides_change_fields(carried: UseCase, tmp_path: Path) -> None:
    run(label(carried), "{training.budget.trials: 3, split.test: last 30d}", "s3://b/r", "cluster", tmp_path / "u")
    changed = load(tmp_path / "u")
    assert changed.training.budget.trials == 3
    assert changed.split.test == "last 30d"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("{training.budget.trails: 3}", r"training\.budget\.trails: unknown field; did you mean 'trials'\?"),
        ("trials=3", r"overrides: 'trials=3': expected a mapping such as \{training\.budget\.trials: 3\}"),
        ("{a: [", "overrides: is not YAML"),
        ("{training.seed: 1, training.seed: 2}", r"overrides: is not YAML \(key 'training\.seed' is given twice"),
        ("{sources.0.sha256: null}", r"overrides: sources\.0\.sha256: sources are compiled in; change the use case"),
        ("{name.first: x}", r"overrides: name\.first: name has no fields"),
    ],
)
def test_a_wrong_override_is_named(carried: UseCase, tmp_path: Path, overrides: str, message: str) -> None:
    with pytest.raises(UseCaseError, match=message):
        run(label(carried), overrides, "registry", "local", tmp_path / "usecase")
    assert not list(tmp_path.iterdir())


def test_a_cluster_without_an_address_of_the_registry_is_refused_first(
    carried: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALMANAC_REGISTRY", raising=False)
    with pytest.raises(RegistryError, match="kubectl create configmap almanac --from-literal=registry="):
        run(label(carried), "", "registry", "cluster", tmp_path / "usecase")
    monkeypatch.setenv("ALMANAC_REGISTRY", "s3://bucket/registry")
    run(label(carried), "", "registry", "cluster", tmp_path / "usecase")


def test_a_run_that_could_not_register_its_model_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than by its eleventh task."""
    for name in ("ALMANAC_SIGNING", "ALMANAC_SIGNING_KEY", "ALMANAC_REGISTRY", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "meters.csv").write_text(small.CSV)
    case, registry = small.usecase(), str(tmp_path / "registry")
    monkeypatch.setenv(VARIABLE, pack(case))
    with pytest.raises(RegistryError, match="kubectl create configmap almanac --from-literal=registry="):
        preflight(label(case), "", tmp_path, "registry", "cluster")
    with pytest.raises(RegistryError, match="kubectl create secret generic almanac-signing --from-file=private_key="):
        preflight(label(case), "", tmp_path, registry, "cluster")
    generate_key(tmp_path / "signing.pem")
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", str(tmp_path / "signing.pem"))
    present = preflight(label(case), "", tmp_path, registry, "cluster")
    assert present == (label(case), fingerprint(dump(case), tmp_path), True)
    (tmp_path / "file").touch()
    with pytest.raises(
        PipelineError, match=r"cannot be written: .*; pods write with the keys of the secret almanac-st"
    ):
        preflight(label(case), "", tmp_path, str(tmp_path / "file"), "cluster")


def test_preflight_hands_on_the_use_case_with_its_overrides(
    carried: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = str(tmp_path / "registry")
    compiled, _, changed = preflight(label(carried), "{training.budget.trials: 3}", tmp_path, registry, "local")
    assert changed and compiled != label(carried)
    # The task that reads it carries no use case.
    monkeypatch.delenv(VARIABLE)
    run(compiled, "", registry, "", tmp_path / "usecase")
    assert load(tmp_path / "usecase").training.budget.trials == 3
    assert label(load(tmp_path / "usecase")) == compiled


def test_a_damaged_or_foreign_use_case_is_refused(
    carried: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PipelineError, match=r"holds air_quality-\w+, not traffic-0; compile and upload"):
        run("traffic-0", "", "registry", "local", tmp_path / "usecase")
    monkeypatch.setenv(VARIABLE, pack(carried)[:-9])
    with pytest.raises(UseCaseError, match=f"{VARIABLE}: is not a packed use case"):
        run(label(carried), "", "registry", "local", tmp_path / "usecase")


def test_a_use_case_that_is_too_large_to_be_carried_is_read_from_the_registry(
    carried: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    registry = str(tmp_path / "registry")
    with pytest.raises(PipelineError, match=f"run `almanac publish usecases/air_quality.yaml --registry {registry}`"):
        run(label(carried), "", registry, "local", tmp_path / "usecase")
    key = put_use_case(open_store(registry), carried)
    assert put_use_case(open_store(registry), carried) == key
    run(label(carried), "", registry, "local", tmp_path / "usecase")
    assert load(tmp_path / "usecase") == carried


def test_a_damaged_use_case_of_the_registry_is_refused(
    carried: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    path = tmp_path / put_use_case(open_store(str(tmp_path)), carried)
    path.write_text(path.read_text().replace("Beijing", "Peking", 1))
    with pytest.raises(PipelineError, match=r"holds air_quality-\w+, not air_quality-"):
        run(label(carried), "", str(tmp_path), "local", tmp_path / "usecase")


def test_a_source_that_changes_after_its_fingerprint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "meters.csv"
    data.write_text(small.CSV)
    case = dump(small.usecase())
    first = fingerprint(case, tmp_path)
    assert fingerprint(case, tmp_path) == first
    ingest(case, tmp_path, tmp_path / "table", tmp_path / "lineage", first)
    data.write_text(small.CSV.replace("1.5", "2.5"))
    assert fingerprint(case, tmp_path) != first
    with pytest.raises(SourceError, match="a source changed while the pipeline read it"):
        ingest(case, tmp_path, tmp_path / "again", tmp_path / "lineage", first)
    assert not (tmp_path / "again").exists()
