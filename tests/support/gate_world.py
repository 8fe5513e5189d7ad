"""Trained models beside a registry, one of which may be in production."""

from pathlib import Path

import polars as pl

from almanac.core.files import sha256_file, write_json
from almanac.evaluation.evaluate import predictions
from almanac.evaluation.gate.rules.not_worse_than_registered import NotWorse
from almanac.evaluation.scored_rows import score_rows
from almanac.evaluation.target_metrics import target_metrics
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.features.target import targets
from almanac.model.model import load_model
from almanac.usecase import UseCase
from almanac.usecase.features_section import Features
from components.gate.task import run
from governance.registry import Registry, collect
from tests.support import evaluation_world as world
from tests.support.bundles import document_files

#: Lags of two feature specifications.
SHORT, LONG = ["1h", "2h"], ["1h", "2h", "3h", "6h", "12h", "24h"]


class Production:
    """Runs of models with a feature specification of their own, beside a registry."""

    def __init__(self, usecase: UseCase, series: pl.DataFrame, directory: Path) -> None:
        rules = [NotWorse(rule="not_worse_than_registered")]
        self.usecase = usecase.model_copy(update={"gates": rules})
        self.series, self.directory = series, directory
        self.registry, self.table = directory / "registry", directory / "data.parquet"
        self.decision, self.judged = directory / "gate.json", directory / "predictions.parquet"
        series.write_parquet(self.table)

    def run(
        self, name: str, lags: list[str], trees: int = 40, learned: str = "2012-12-31T17:00:00", intercept: float = 0.0
    ) -> Path:
        """Train a model on features with these lags, score it on 2014, and return its run directory."""
        folder, target = self.directory / name, self.usecase.targets[0]
        items = [{"kind": "value", "group": "lagged", "columns": ["pm25", "dewp", "iws"]}]
        items += [{"kind": "lag", "group": "lagged", "columns": ["pm25"], "lags": lags}]
        case = self.usecase.model_copy(update={"features": Features.model_validate({"items": items})})
        spec = FeatureSpec.of(case)
        table = pl.concat([compute(spec, self.series), targets(case, spec, self.series)], how="horizontal")
        world.write_model(
            folder / "model" / target.name, table, target.name, case, spec.model_dump(mode="json"), trees, intercept
        )
        files = {
            path.relative_to(folder / "model").as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
            for path in sorted((folder / "model").rglob("*.*"))
        }
        manifest = {"format": 1, "use_case": case.name, "targets": [target.name], "files": files}
        write_json(folder / "model" / "manifest.json", manifest)
        ungrouped = case.model_copy(update={"evaluation": case.evaluation.model_copy(update={"groups": []})})
        scored = score_rows(ungrouped, table, target, load_model(folder / "model" / target.name))
        entry = target_metrics(ungrouped, scored, "trees")
        write_json(folder / "metrics.json", {"use_case": case.name, "targets": {target.name: entry}})
        predictions([scored]).write_parquet(folder / "predictions.parquet")
        tuning = {"targets": {target.name: {"span_trained": ["2010-01-01T00:00:00", learned]}}}
        write_json(folder / "tuning.json", tuning)
        return folder

    def judge(self, run_directory: Path) -> bool:
        inputs = (run_directory / "metrics.json", run_directory / "predictions.parquet", self.table)
        return run(self.usecase, inputs, str(self.registry), self.decision, self.judged)

    def promote(self, run_directory: Path, tuning: bool = True) -> None:
        """Register a run, document it and promote it."""
        names = ["metrics.json", "predictions.parquet", *(["tuning.json"] if tuning else [])]
        write_json(run_directory / "gate.json", {"passed": True, "rules": []})
        files = {name: run_directory / name for name in (*names, "gate.json")} | collect(
            run_directory / "model", "model"
        )
        store = Registry(str(self.registry))
        number = store.register(self.usecase.name, files, who="ann", why="test", approval="none")
        documents = document_files(run_directory, files)
        store.attach_documents(self.usecase.name, number, documents, who="ann", why="test")
        store.promote(self.usecase.name, number, "production", who="ann", why="test")
