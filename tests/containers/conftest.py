"""What the containers tier needs: an engine, and the images that `make images` built."""

import os
import stat
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.containers.engine import engine_answers
from tests.support.server import simple_features, write_model


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip this folder's tests by name, outside `make test-containers` and where no engine answers."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = None
    if "ALMANAC_TAG" not in os.environ:
        reason = "the containers tier runs by `make test-containers`"
    elif ours and not os.environ.get("CI") and not engine_answers():
        reason = "no Docker engine answers"
    for item in ours:
        item.add_marker(pytest.mark.containers)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def images() -> str:
    """Registry and owner of the images."""
    return os.environ.get("ALMANAC_IMAGES", "ghcr.io/almanac")


@pytest.fixture(scope="session")
def components_image(images: str) -> str:
    return f"{images}/components-python:{os.environ['ALMANAC_TAG']}"


@pytest.fixture(scope="session")
def serving_image(images: str) -> str:
    return f"{images}/serving:{os.environ['ALMANAC_TAG']}"


@pytest.fixture(scope="session")
def operations_image(images: str) -> str:
    return f"{images}/operations:{os.environ['ALMANAC_TAG']}"


@pytest.fixture(scope="session")
def served_model(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    """A model directory that the container's user may read."""
    model = write_model(tmp_path_factory.mktemp("served") / "model", beijing)
    for path in [model, *model.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0))
    return model


@pytest.fixture(scope="session")
def feature_rows(beijing: pl.DataFrame) -> np.ndarray:
    """Real feature rows of 2014 whose newest value is there, float64 of shape (n, f)."""
    X = simple_features(beijing)[-8760:]
    kept: np.ndarray = X[np.isfinite(X[:, 0])]
    return kept
