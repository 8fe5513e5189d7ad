"""What the images are: small, labelled, run by no root, with nothing that they do not need."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac import drift
from almanac.core.image import VERSION
from tests.containers.engine import docker, inspect

MEGABYTE = 1_000_000


@pytest.mark.parametrize(("kind", "most"), [("components", 820), ("serving", 380), ("operations", 820)])
def test_an_image_is_small(request: pytest.FixtureRequest, kind: str, most: int) -> None:
    image = inspect(request.getfixturevalue(f"{kind}_image"))
    base = inspect("python:3.11-slim-bookworm")
    assert (image["Size"] - base["Size"]) / MEGABYTE <= most


@pytest.mark.parametrize("kind", ["components", "serving", "operations"])
def test_an_image_says_what_it_is_and_runs_as_nobody(request: pytest.FixtureRequest, kind: str) -> None:
    name = request.getfixturevalue(f"{kind}_image")
    config = inspect(name)["Config"]
    assert config["User"] == "65532:65532"
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert {"title", "description", "licenses", "version", "revision", "base.name"} <= labels.keys()
    assert labels["revision"] == name.rpartition(":")[2]
    assert labels["version"] == VERSION


@pytest.mark.parametrize("kind", ["components", "serving", "operations"])
def test_the_version_that_compiled_files_name_is_this_image(request: pytest.FixtureRequest, kind: str) -> None:
    name = request.getfixturevalue(f"{kind}_image")
    assert inspect(f"{name.rpartition(':')[0]}:{VERSION}")["Id"] == inspect(name)["Id"]


def test_the_server_carries_no_training_stack_and_no_compiler(serving_image: str) -> None:
    script = (
        "import importlib.util as u, shutil; "
        "names = ('sklearn', 'polars', 'optuna', 'kfp', 'shap', 'comet_ml', 'pip'); "
        "print([n for n in names if u.find_spec(n)], shutil.which('gcc'))"
    )
    assert (
        docker("run", "--rm", "--network", "host", "--entrypoint", "python", serving_image, "-c", script) == "[] None"
    )


def test_the_server_can_keep_predictions_in_object_stores(serving_image: str) -> None:
    script = "import fsspec; print([fsspec.get_filesystem_class(name).protocol[0] for name in ('s3', 'gs')])"
    run = ("run", "--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--entrypoint", "python")
    assert docker(*run, serving_image, "-c", script) == "['s3', 'gs']"


def test_the_server_counts_drift_without_what_reads_tables(serving_image: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    profile = drift.profile(pl.DataFrame(rng.normal(size=(4000, 2)), schema=["a", "b"]))
    profile.write(tmp_path / "profile.json")
    tmp_path.chmod(0o755)
    (tmp_path / "profile.json").chmod(0o644)
    script = (
        "import json, numpy as np; from almanac.drift.online import OnlineDrift; "
        "from almanac.drift.profiles.reference import from_json; "
        "counted = OnlineDrift(from_json(json.load(open('/data/profile.json')))); "
        "counted.add_rows(np.full((300, 2), 9.0)); "
        "print({name: found['drifted'] for name, found in counted.metrics().items()})"
    )
    run = ("run", "--rm", "--network", "host", "--volume", f"{tmp_path}:/data:ro", "--entrypoint", "python")
    assert docker(*run, serving_image, "-c", script) == "{'a': 1.0, 'b': 1.0}"


def test_a_command_that_reads_tables_says_where_it_runs(serving_image: str) -> None:
    run = ("run", "--rm", "--network", "host", "--entrypoint", "python", serving_image, "-m", "serving", "ingest")
    with pytest.raises(AssertionError, match=r"reading Parquet needs pyarrow, .* components image"):
        docker(*run, "/data/rows.parquet", "--url", "http://127.0.0.1:1", "--model-name", "air")


def test_components_find_their_kernel_without_a_compiler(components_image: str) -> None:
    script = (
        "import shutil; from almanac.features.compiler.execute import kernel; "
        "print(kernel() is not None, shutil.which('gcc'))"
    )
    run = ("run", "--rm", "--network", "host", "--entrypoint", "python", components_image, "-c", script)
    assert docker(*run) == "True None"


def test_the_command_line_runs_on_a_read_only_root(components_image: str) -> None:
    run = ("run", "--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp", components_image)
    assert "compile" in docker(*run)
    assert "65532" in docker(*run, "id", "-u")
