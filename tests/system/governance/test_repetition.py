"""The first question of a training on a cluster: whether it would make another version than the registry has."""

import shutil
from pathlib import Path

import pytest

from almanac.core.files import read_json, write_json
from almanac.data.fetch import fingerprint_of
from almanac.usecase.override import override
from almanac.usecase.packed import VARIABLE, label, pack
from components.preflight.task import run as preflight
from governance import signing
from governance.documentation import document
from governance.registration import register
from governance.registry import Registry, Version
from governance.repetition import repeated
from serving.deploy.apply import connect
from serving.deploy.kube import Kube
from serving.deploy.production import write_manifest
from tests.support.governance_world import World, artifacts_of
from tests.support.kubernetes_api import KubernetesApi, kubeconfig

REVISION = "4c4c307f1ba64c4c307f1ba64c4c307f1ba64c4c"


@pytest.fixture(autouse=True)
def revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMANAC_REVISION", REVISION)


@pytest.fixture
def made(world: World, trained: Path, tmp_path: Path) -> World:
    """A run of code of a known revision, in production."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    model = read_json(run / "model" / "manifest.json")
    write_json(run / "model" / "manifest.json", {**model, "git_revision": REVISION})
    return World(world.usecase, run, tmp_path / "registry")


def sources(case: World) -> str:
    return fingerprint_of({source.name: str(source.sha256) for source in case.usecase.sources})


def finish(made: World, environment: str = "local") -> None:
    told = made.run / "registration.json"
    register(made.usecase, made.artifacts, str(made.registry), environment, told)
    document(made.usecase, artifacts_of(made.run), told, str(made.registry), made.run / "governance")


def found(made: World, fingerprint: str = "") -> Version | None:
    return repeated(made.usecase, fingerprint or sources(made), str(made.registry))


def look(made: World, url: str, overrides: str = "", environment: str = "cluster") -> tuple[str, str, bool]:
    """Return the answer of the task that carries the use case."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, pack(made.usecase))
        return preflight(label(made.usecase), overrides, Path(), url, environment)


def test_a_version_in_production_of_the_same_inputs_and_code_is_found(made: World) -> None:
    assert found(made) is None
    finish(made)
    again = found(made)
    assert again is not None and (again.number, again.stage) == (1, "production")


def test_other_sources_use_cases_and_code_are_a_change(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(made)
    assert found(made, fingerprint_of({"beijing_pm": "0" * 64})) is None
    other = override(made.usecase, "{training.budget.trials: 3}")
    assert repeated(other, sources(made), str(made.registry)) is None
    for revision in ("5" * 40, f"{REVISION}-dirty", "unknown"):
        monkeypatch.setenv("ALMANAC_REVISION", revision)
        assert found(made) is None


def test_what_was_rejected_or_taken_out_is_trained_again(made: World) -> None:
    finish(made)
    registry = Registry(made.registry)
    registry.demote("air_quality", 1, who="bob", why="worse at night")
    assert found(made) is None


def test_a_version_without_its_documents_is_not_finished(made: World) -> None:
    register(made.usecase, made.artifacts, str(made.registry), "local", made.run / "registration.json")
    assert found(made) is None


def test_on_a_cluster_the_run_ends_where_the_version_is_served(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(made.registry)
    signing.generate_key(made.run.parent / "key.pem")
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", str(made.run.parent / "key.pem"))
    finish(made)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(made.run.parent))
    # Without a cluster to look at, or a service on it, the last task still has work to do.
    assert look(made, url) == (label(made.usecase), sources(made), True)
    with KubernetesApi() as cluster:
        write_json(made.run.parent / "kubeconfig", kubeconfig(cluster.host))
        monkeypatch.setenv("KUBECONFIG", str(made.run.parent / "kubeconfig"))
        assert look(made, url)[-1]
        for item in write_manifest(made.usecase, url, made.run.parent / "objects.yaml"):
            Kube(connect()).apply(item)
        assert look(made, url) == (label(made.usecase), sources(made), False)
        assert look(made, url, overrides="{training.budget.trials: 3}")[-1]
        # A laptop caches its steps by content and writes a run directory each time.
        assert look(made, url, environment="local")[-1]


def test_a_version_that_awaits_its_approval_is_not_made_again(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    signing.generate_key(made.run.parent / "key.pem")
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", str(made.run.parent / "key.pem"))
    finish(made, "cluster")
    assert look(made, str(made.registry)) == (label(made.usecase), sources(made), False)
    Registry(made.registry).reject("air_quality", 1, who="bob", why="biased")
    assert look(made, str(made.registry))[-1]
