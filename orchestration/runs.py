"""Run directories: finding, listing and comparing them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import PipelineError
from almanac.core.files import read_json

METRICS, RECORD = "metrics.json", "run.json"


@dataclass(frozen=True)
class Run:
    """A run directory, with its name in messages."""

    name: str
    directory: Path

    def read(self, name: str) -> Any:
        """Return a JSON file of the run.

        Raises:
            PipelineError: it is missing or no JSON.
        """
        path = self.directory / name
        try:
            return read_json(path)
        except (OSError, ValueError) as error:
            raise PipelineError(
                f"{path}: cannot be read ({error}); expected a directory that `almanac run` wrote"
            ) from None

    def get(self, name: str) -> Any:
        """Return a JSON file of the run, an empty mapping without it."""
        return self.read(name) if (self.directory / name).is_file() else {}


def find(name: str, out: Path) -> Run:
    """Return a run by its directory, its id, or the name of a use case for the latest one.

    Raises:
        PipelineError: there is none.
    """
    places = [Path(name), out / name / "latest", out / name, *sorted(out.glob(f"*/{name}"))]
    for place in places:
        # A registered use case's directory holds runs and is none.
        if (place / METRICS).is_file() or (place / RECORD).is_file():
            return Run(name, place)
    if Path(name).is_dir() and not (out / name).is_dir():
        # Named, so that the message is about the file that is missing.
        return Run(name, Path(name))
    raise PipelineError(
        f"{name}: there is no such run; expected a run directory, the id of a run below {out}, or a use case's name "
        "(`almanac runs` lists them)"
    )


def listed(out: Path, use_case: str = "") -> list[dict[str, Any]]:
    """Return the training runs below a directory, the newest first, as rows of a list."""
    records = [path for path in out.glob(f"{use_case or '*'}/*/{RECORD}") if not path.parent.is_symlink()]
    rows = [_row(Run(path.parent.name, path.parent)) for path in records if not path.parent.name.startswith(".")]
    return sorted(rows, key=lambda row: str(row["started_at"]), reverse=True)


def _row(run: Run) -> dict[str, Any]:
    record, metrics = run.read(RECORD), run.get(METRICS)
    gate, registration = run.get("gate.json"), run.get("registration.json")
    return {
        "run": run.name,
        "use_case": record.get("use_case"),
        "started_at": record.get("started_at"),
        "seconds": round(sum(float(step["seconds"]) for step in record.get("steps", [])), 1),
        "targets": {name: _headline(target) for name, target in metrics.get("targets", {}).items()},
        "gate": {True: "open", False: "closed"}.get(gate.get("passed"), "") if gate else "",
        "version": registration.get("version"),
    }


def _headline(target: dict[str, Any]) -> dict[str, Any]:
    best = target.get("headline") or {}
    metric = best.get("metric") or ("rmse" if "rmse" in target else "log_loss")
    return {
        "metric": metric,
        "value": target.get(metric),
        "ci": (target.get("ci") or {}).get(metric),
        "baseline": best.get("baseline"),
        "skill": best.get("skill"),
    }


def differences(runs: Sequence[Run]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each setting in which runs differ: its name, and its value in each run.

    Settings are code, data, use case, libraries, features, candidate and parameters of each target.
    """
    described = [dict(_settings(run)) for run in runs]
    for name in dict.fromkeys(name for one in described for name in one):
        values = [one.get(name) for one in described]
        if any(value != values[0] for value in values):
            yield name, values


def _settings(run: Run) -> Iterator[tuple[str, Any]]:
    record, model, tuning = run.get(RECORD), run.get("model/manifest.json"), run.get("tuning.json")
    yield "use case", str(record.get("use_case_digest", ""))[:12]
    yield "code", str(record.get("git_revision", ""))[:12]
    yield "data", str(model.get("data_digest", ""))[:12]
    for source in run.get("lineage.json").get("sources", []):
        yield f"rows of {source['name']}", source["rows"]
        yield f"span of {source['name']}", " to ".join(str(end)[:16] for end in source["time_span"])
    for name, version in (record.get("libraries") or {}).items():
        yield name, version
    for name, target in (tuning.get("targets") or {}).items():
        yield f"{name}: candidate", target.get("chosen")
        for candidate, parameters in (target.get("parameters") or {}).items():
            for key, value in parameters.items():
                yield f"{name}: {candidate}.{key}", value
        features = run.get(f"model/{name}/features.json").get("names", [])
        yield f"{name}: number of features", len(features)
        yield f"{name}: features", sorted(features)


def shown(name: str, values: list[Any]) -> list[str]:
    """Return the values of a setting as texts; of lists, the items that not all of them have."""
    if not all(isinstance(value, list) for value in values):
        return ["–" if value is None else str(value) for value in values]
    everywhere = set.intersection(*map(set, values))
    own = [sorted(set(value) - everywhere) for value in values]
    return [", ".join(one[:4]) + (f" and {len(one) - 4} more" if len(one) > 4 else "") or "none more" for one in own]
