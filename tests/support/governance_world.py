"""A run that is really trained, registered and documented, once for the session."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from almanac.core.files import sha256_file, write_json
from almanac.usecase import UseCase, dump, load, load_text
from governance import signing
from governance.documentation import document
from governance.registration import register, version_files
from tests.support.real_run import make_run
from tests.support.shared import made_once

TABLES = ("data.parquet", "features.parquet")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class World:
    """A run directory, its registry and its use case."""

    usecase: UseCase
    run: Path
    registry: Path

    @property
    def artifacts(self) -> dict[str, Path]:
        return artifacts_of(self.run)

    def copy(self, folder: Path) -> "World":
        """Return a copy to spoil."""
        shutil.copytree(self.run, folder / "run")
        shutil.copytree(self.registry, folder / "registry")
        return World(self.usecase, folder / "run", folder / "registry")


def artifacts_of(run: Path) -> dict[str, Path]:
    """Return a run directory's artifacts, as the pipeline hands them over."""
    names = {"figures": "metrics", "decision": "gate", "lineage": "lineage", "tuning": "tuning"}
    files = {key: str(run / f"{name}.json") for key, name in {**names, "evaluation": "evaluation"}.items()}
    return version_files(str(run / "model"), **files, predictions=str(run / "predictions.parquet"))


@pytest.fixture(scope="session", autouse=True)
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep keys and names of this machine's user out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        # Each place that imports this fixture has its own; all of a session have to sign with one key.
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
        patch.setenv("ALMANAC_ACTOR", "ann")
        patch.delenv("ALMANAC_SIGNING_KEY", raising=False)
        yield


@pytest.fixture(scope="session")
def usecase() -> UseCase:
    case = json.loads(dump(load(ROOT / "usecases" / "air_quality.yaml")))
    # A model that trains in a second does not cover every band as the reference model has to.
    case["gates"] = [
        {"rule": "beats_baselines", "metric": "rmse"},
        {"rule": "not_worse_than_registered", "metric": "rmse"},
        {"rule": "coverage", "within": 0.05, "bands": False},
        {"rule": "max_disparity", "group": "weekend", "metric": "mae", "ratio": 1.5},
    ]
    return load_text(json.dumps(case), "air_quality")


@pytest.fixture(scope="session")
def trained(usecase: UseCase, beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory up to the gate."""
    return made_once(tmp_path_factory, "trained", lambda base: make_run(usecase, beijing, base / "run")) / "run"


@pytest.fixture(scope="session")
def world(usecase: UseCase, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The run registered, documented and, as local runs are, promoted."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(trained, folder / "run")
    made = World(usecase, folder / "run", folder / "registry")
    told = made.run / "registration.json"
    register(usecase, made.artifacts, str(made.registry), "local", told)
    document(usecase, made.artifacts, told, str(made.registry), made.run / "governance")
    # Without its tables nothing is predicted again, which takes seconds; `complete` has them.
    for name in TABLES:
        (made.run / name).unlink()
    record_run(made.run)
    return made


@pytest.fixture
def complete(world: World, trained: Path, tmp_path: Path) -> World:
    """A copy of the world with the run's tables, signed as the runner signs a run."""
    copy = world.copy(tmp_path / "complete")
    for name in TABLES:
        shutil.copyfile(trained / name, copy.run / name)
    record_run(copy.run, copy.registry)
    signing.sign_contents(copy.run, signing.RUN_SIGNATURE, signing.signing_key())
    return copy


def record_run(run: Path, registry: Path | str | None = None) -> None:
    """Write run.json as the runner does: the registry, if one is given, and the sha256 of every file of the run."""
    # The signature of the run comes after its record, and cannot be in it.
    aside = (run / "run.json", run / signing.RUN_SIGNATURE)
    files = sorted(path for path in run.rglob("*") if path.is_file() and path not in aside)
    listed = {
        path.relative_to(run).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size} for path in files
    }
    named = {"registry": str(registry)} if registry is not None else {}
    write_json(run / "run.json", {"use_case": "air_quality", **named, "artifacts": listed})


@pytest.fixture
def spoilt(world: World, tmp_path: Path) -> World:
    """A copy of the world that a test may alter."""
    copy = world.copy(tmp_path)
    for path in copy.registry.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    return copy
