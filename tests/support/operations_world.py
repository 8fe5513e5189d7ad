"""A registry, run directories and logs as the operations room reads them, of any size and without a training."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from almanac.core.files import pretty_json, write_json
from governance.registry import Registry
from governance.registry.stores import open_store
from operations.history import Origins
from operations.journal import Journal
from orchestration.console import Step
from orchestration.published_runs import PublishedRuns
from orchestration.retraining.audit_log import AuditLog, Draft
from orchestration.retraining.plan import LIFETIME, Observed, Plan, Retrain
from orchestration.rundir import failure_record, new_run_id, run_record
from tests.support.bundles import document_files, version_files

START = datetime(2026, 1, 1, tzinfo=UTC)
TARGETS = ("load_1h", "load_24h")
COLUMNS = ("load", "temperature", "wind")


@dataclass(frozen=True)
class World:
    """Addresses of the world."""

    registry: str
    runs: Path
    log: str

    @property
    def origins(self) -> Origins:
        """Where its history comes from."""
        return Origins(self.registry, self.runs, self.log)


def write_world(folder: Path, *, trainings: int = 2, monitorings: int = 3, windows: int = 3) -> World:
    """Write the use case `demo`: versions 1 (in production) and 2 (awaits an approval), runs, a plan, and a journal."""
    world = World(str(folder / "registry"), folder / "runs", str(folder / "log"))
    registry = Registry(world.registry)
    for mark in ("first", "second"):
        files = version_files(folder, mark)
        files["metrics.json"] = folder / mark / "metrics.json"
        write_json(files["metrics.json"], metrics(20.0 if mark == "first" else 19.0))
        approval = "none" if mark == "first" else "required"
        number = registry.register("demo", files, who="ann", why=f"{mark} model", approval=approval)
        documents = document_files(folder / mark, files)
        registry.attach_documents("demo", number, documents, who="ann", why="documented")
        if mark == "first":
            registry.promote("demo", number, who="ann", why="first model")
    for at in range(trainings):
        _write_run(world, at, "", {"metrics.json": metrics(21.0 - 0.1 * at), "gate.json": {"passed": at != 1}})
    for at in range(monitorings):
        _write_run(world, at, "monitoring", {"monitoring.json": monitoring(at, windows)})
    _write_logs(world, registry)
    return world


def metrics(rmse: float) -> dict[str, Any]:
    """Return a metrics.json."""
    figures = {"task": "regression", "rmse": rmse, "mae": rmse * 0.6, "n": 720, "coverage": {"overall": 0.9}}
    return {"use_case": "demo", "targets": dict.fromkeys(TARGETS, figures)}


def monitoring(at: int, windows: int) -> dict[str, Any]:
    """Return a monitoring.json whose last window drifts in every third run."""
    return {
        "format": 2,
        "kind": "monitoring",
        "use_case": "demo",
        "version": 1,
        "breached": at % 3 == 2,
        "windows": [_window(at, back, last=back == 0) for back in reversed(range(windows))],
    }


def _window(at: int, back: int, *, last: bool) -> dict[str, Any]:
    stop = START + timedelta(days=at - 30 * back)
    bad = last and at % 3 == 2
    features = [
        {
            "name": name,
            "role": "feature",
            "drifted": bad and name == "wind",
            "score": 2.0 if bad and name == "wind" else 0.4 + 0.01 * (at % 7),
            "p_value": 0.001 if bad and name == "wind" else 0.6,
            "cause": "ks",
            "statistics": {"missing_rate": 0.0},
        }
        for name in COLUMNS
    ]
    figures = {"rows": 700, "mae": 12.0 + at % 5, "rmse": 20.0 + at % 5, "bias": 0.5, "coverage": 0.89}
    figures |= {"persistence_mae": 14.0}
    return {
        "start": (stop - timedelta(days=30)).replace(tzinfo=None).isoformat(),
        "stop": stop.replace(tzinfo=None).isoformat(),
        "rows": 720,
        "judged": True,
        "breach": bad,
        "drifted": bad,
        "reasons": ["wind has drifted"] if bad else [],
        "targets": {name: {**figures, "estimated": {"mae": 12.5}} for name in TARGETS},
        "drift": {"features": features},
        "outputs": {},
    }


def _write_run(world: World, at: int, kind: str, files: dict[str, Any]) -> None:
    started = START + timedelta(days=at, minutes=1 if kind else 0)
    run_id = f"{started:%Y%m%d-%H%M%S-%f}-abcdef01"
    directory = world.runs / "demo" / kind / run_id
    record = {
        "run_id": run_id,
        "use_case": "demo",
        "use_case_digest": "a" * 64,
        "git_revision": "b" * 40,
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": (started + timedelta(seconds=75)).isoformat(timespec="seconds"),
        "runner": "subprocess",
        "steps": [{"name": "ingestion", "seconds": 1.5, "cached": False, "rows": 720, "figure": "1 source"}],
    }
    for name, document in {**files, "run.json": record}.items():
        write_json(directory / name, document)


def publish_monitoring(registry: str, at: int, use_case: str = "demo") -> str:
    """Publish a monitoring of a cluster in a registry, as its task does; return the run's directory."""
    started = START + timedelta(days=at, hours=1)
    run_id = new_run_id(started, "a" * 64)
    record = run_record(run_id, use_case, "a" * 64, started, "kubeflow", registry, [Step("monitoring", 12.0)])
    documents = {"run.json": record, "monitoring.json": {**monitoring(at, 2), "use_case": use_case}}
    directory = f"{use_case}/monitoring/{run_id}"
    files = {name: pretty_json(document).encode() for name, document in documents.items()}
    PublishedRuns(open_store(registry)).publish(directory, files, b"table")
    return directory


def publish_failure(registry: str, kind: str, **fields: Any) -> str:
    """Publish the record of a run that failed on a cluster on 2 January; return its id."""
    failed = START + timedelta(days=1)
    run_id = new_run_id(failed - timedelta(minutes=2), f"{kind:f<8}")
    words = {"step": "validation", "error": "no column load\nnor wind", "command": "kfp run get 1"}
    record = failure_record(run_id, "demo", kind, failed=failed, runner="kubeflow", **words)
    PublishedRuns(open_store(registry)).publish_failure(record | fields)
    return run_id


def _write_logs(world: World, registry: Registry) -> None:
    version, last = registry.current("demo"), registry.state("demo").last
    assert version is not None
    assert last is not None
    created = datetime.now(UTC)
    plan = Plan(
        use_case="demo",
        use_case_digest="a" * 64,
        action=Retrain(test="last 30d", train="expanding"),
        difference=["split.test: None -> last 30d"],
        observed=Observed(production=version.number, manifest=version.manifest, registry=last.digest),
        reasons=["2026-01-01 to 2026-01-31: wind has drifted"],
        monitoring="c" * 64,
        proposer="almanac",
        created=created,
        expires=created + LIFETIME,
    )
    detail = {"plan": plan.model_dump(mode="json")}
    AuditLog(world.registry, "demo").append(lambda _: Draft("proposed", plan.digest, "almanac", "wind drifts", detail))
    journal = Journal(world.registry, "demo")
    alarm = {"name": "AlmanacDrift", "state": "firing", "severity": "warning"}
    journal.append(lambda _: Draft("alarm", "d" * 64, "alertmanager", "wind has drifted", alarm))
    sent = {"channel": "mail", "outcome": "sent"}
    journal.append(lambda _: Draft("notified", "d" * 64, "almanac", "asked for an approval", sent))
    served = Path(world.log) / "demo" / "served-20260101T000000-1.jsonl"
    served.parent.mkdir(parents=True)
    lines = [
        {"timestamp": f"2026-01-01T{hour:02d}:30:00", "target": TARGETS[0], "prediction": 1.0, "version": 1}
        for hour in (0, 0, 1)
    ]
    served.write_text("".join(json.dumps(line) + "\n" for line in lines))
