"""Write a training as a run of MLflow, in the process that `mlflow_log` starts."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from almanac.core.files import read_json
from almanac.drift.outputs.reference import outputs_from_json
from almanac.model.directory import REFERENCE
from almanac.model.model import Model, load_model

#: Tag by which a training is found again: the same training has the same key.
KEY = "almanac.key"
#: Features of a target whose importance becomes a metric; the file has them all.
_MOST = 20
#: Types of MLflow by the types of the use case.
_TYPES = {"category": "string", "integer": "long", "boolean": "boolean", "date": "datetime"}


def write_run(request: dict[str, Any]) -> None:
    """Log the training of a request, unless the server has it already."""
    mlflow.set_tracking_uri(request["uri"])
    experiment, record = mlflow.set_experiment(request["experiment"]).experiment_id, request["record"]
    found = mlflow.search_runs([experiment], f"tags.`{KEY}` = '{record['key']}'", output_format="list")
    if any(run.info.status == "FINISHED" for run in found):
        return
    tags = {KEY: record["key"], "almanac.use_case_digest": record["use_case_digest"]}
    with mlflow.start_run(experiment_id=experiment, run_name=record["name"], tags=tags) as run:
        tuning, models = read_json(Path(request["tuning"])), Path(request["model"])
        mlflow.log_params(record["parameters"])
        mlflow.log_metrics(record["metrics"])
        _log_folds(tuning)
        mlflow.MlflowClient().log_inputs(run.info.run_id, _datasets(request, tuning, models))
        for target in tuning["targets"]:
            model = load_model(models / target)
            _log_importances(model)
            _log_model(model)
        mlflow.log_artifact(request["tuning"])
        mlflow.log_dict(record, "record.json")


def _log_folds(tuning: dict[str, Any]) -> None:
    """Log each candidate's and baseline's loss, a step a fold, and the spans of the folds."""
    for target, tuned in tuning["targets"].items():
        for kind in ("candidates", "baselines"):
            for name, one in tuned[kind].items():
                for fold, loss in enumerate(one["folds"], start=1):
                    mlflow.log_metric(f"{target}/{kind}/{name}/fold/{tuned['metric']}", loss, step=fold)
    mlflow.log_dict({target: tuned["folds"] for target, tuned in tuning["targets"].items()}, "folds.json")


def _datasets(request: dict[str, Any], tuning: dict[str, Any], models: Path) -> list[DatasetInput]:
    """Return the sources, and the validated table that they became, with its columns and its number of rows."""
    table, digest = tuning["table"], read_json(models / "manifest.json")["data_digest"]
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(_TYPES.get(kind, "double"), name, required=False) for name, kind in request["columns"].items()
    ]
    whole = Dataset(
        name=str(tuning["use_case"]),
        # MLflow keeps 36 characters.
        digest=digest[:36],
        source_type="local",
        source=json.dumps({"sources": [source["name"] for source in request["sources"]], "sha256": digest}),
        schema=json.dumps({"mlflow_colspec": Schema(columns).to_dict()}),
        profile=json.dumps({"num_rows": table["rows"], "from": table["from"], "to": table["to"]}),
    )
    read = [
        Dataset(
            name=source["name"],
            digest=(source["sha256"] or "not declared")[:36],
            source_type="http" if source["address"] else source["type"],
            source=json.dumps({"url": source["address"]} if source["address"] else {"name": source["name"]}),
        )
        for source in request["sources"]
    ]
    return [
        *(DatasetInput(one, [InputTag("mlflow.data.context", "source")]) for one in read),
        DatasetInput(whole, [InputTag("mlflow.data.context", "training")]),
    ]


def _log_importances(model: Model) -> None:
    """Log each feature's mean absolute contribution, as it was frozen with the model."""
    outputs = outputs_from_json(model.directory.document(REFERENCE), f"{model.directory.path / REFERENCE}")
    if outputs is None or outputs.importances is None:
        return
    frozen = outputs.importances
    sizes = np.average(frozen.sizes, axis=0, weights=frozen.rows)
    order = np.argsort(-sizes, kind="stable")
    ranked = {frozen.names[at]: float(sizes[at]) for at in order}
    mlflow.log_dict(ranked, f"importances/{model.name}.json")
    mlflow.log_metrics({f"{model.name}/importance/{name}": ranked[name] for name in list(ranked)[:_MOST]})


def _log_model(model: Model) -> None:
    """Log a target's model with its signature, its directory as it is: nothing is pickled."""
    outputs = ["prediction", *(["lower", "upper"] if model.intervals is not None else [])]
    mlflow.pyfunc.log_model(
        name=model.name,
        loader_module="almanac.model.pyfunc",
        data_path=str(model.directory.path),
        signature=ModelSignature(
            inputs=Schema([ColSpec("double", name, required=False) for name in model.names]),
            outputs=Schema([ColSpec("double", name) for name in outputs]),
        ),
        # Given, since MLflow would load the model once more to find them out.
        pip_requirements=["almanac"],
        metadata={"digest": model.digest, "kind": model.predictor.kind},
    )
