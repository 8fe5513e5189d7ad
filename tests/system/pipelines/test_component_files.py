"""The compiled components as another team takes them: loaded from their files alone into a pipeline of its own."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from kfp import components, dsl

from almanac.usecase import load
from almanac.usecase.packed import VARIABLE, label, pack
from orchestration.console import Screen
from orchestration.local import run_local
from orchestration.local_run import RunOptions

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "compiled" / "components"


def _load(name: str) -> Any:
    return components.load_component_from_file(str(FILES / f"{name}.yaml"))


def test_a_pipeline_of_the_component_files_alone_runs(tmp_path: Path, beijing_csv: Path) -> None:
    names = ("configuration", "ingestion", "validation", "preprocessing")
    configuration, ingestion, validation, preprocessing = (_load(name) for name in names)
    case = load(ROOT / "usecases" / "air_quality.yaml")

    @dsl.pipeline(name="from-files")
    def small(base: str) -> None:
        configured = configuration(compiled=label(case), overrides="", registry="", environment="local")
        usecase = configured.set_env_variable(VARIABLE, pack(case)).outputs["usecase"]
        table = ingestion(usecase=usecase, base=base)
        valid = validation(usecase=usecase, table=table.outputs["table"])
        preprocessing(usecase=usecase, table=valid.outputs["validated"])

    place = RunOptions(tmp_path / "work", tmp_path / "cache")
    run = run_local(small, {"base": str(ROOT / "usecases")}, place, Screen(io.StringIO()))
    assert run.error is None
    assert [step.name for step in run.steps] == list(names)
    features = pl.read_parquet(run.outputs["preprocessing"]["features"])
    assert features.height == 43_824
    lineage = json.loads(run.outputs["ingestion"]["lineage"].read_text())
    assert lineage["table"]["rows"] == 43_824


def test_each_component_has_its_file_and_describes_every_parameter() -> None:
    from pipelines import load_components

    names = load_components().keys()
    assert {path.stem for path in FILES.glob("*.yaml")} == names
    for name in names:
        spec = yaml.safe_load((FILES / f"{name}.yaml").read_text())
        for kind in spec["root"].get("inputDefinitions", {}).values():
            assert not [key for key, one in kind.items() if not one.get("description")], name
