"""Outcome of a retraining, read from its run directory and the registry."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError, PipelineError
from almanac.core.files import read_json
from governance.registry import Registry
from governance.registry.versions import read_blob

#: What two versions are compared by: files of a version, at the same path in a run directory.
_MANIFEST, _TUNING = "model/manifest.json", "tuning.json"


@dataclass(frozen=True)
class Outcome:
    """A retraining that has ended.

    Attributes:
        directory: the run directory.
        registration: registration.json of the new version.
        gate: gate.json.
        metrics: metrics.json.
        changed: whether this run registered the version; the same data give the same version as before.
        before: model/manifest.json and tuning.json of the version in production, empty where none can be read.
    """

    directory: Path
    registration: dict[str, Any]
    gate: dict[str, Any]
    metrics: dict[str, Any]
    changed: bool
    before: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        """Address of the version without its scheme, such as demand/7."""
        return f"{self.registration['use_case']}/{self.registration['version']}"

    @property
    def production(self) -> int | None:
        """The version in production that the gate compared with."""
        return _compared(self.gate)

    def now(self) -> dict[str, dict[str, Any]]:
        """Return model/manifest.json and tuning.json of the new version."""
        return {name: read_json(self.directory / name) for name in (_MANIFEST, _TUNING)}


def read_outcome(directory: Path, registry: str, started: datetime) -> Outcome:
    """Return the outcome of a run whose gate opened.

    Args:
        directory: the run directory.
        registry: address of the model registry; production is left out where it cannot be read from here.
        started: when the retraining was started, with its zone.

    Raises:
        PipelineError: a record of the run is missing.
    """
    try:
        registration, gate, metrics = (
            read_json(directory / name) for name in ("registration.json", "gate.json", "metrics.json")
        )
    except (OSError, ValueError) as error:
        raise PipelineError(f"{directory}: is not the record of a registered version ({error})") from error
    # The event of a version that an earlier run registered is older than this run.
    changed = datetime.fromisoformat(registration["event"]["when"]) >= started
    before = _in_production(registry, registration["use_case"], _compared(gate))
    return Outcome(directory, registration, gate, metrics, changed, before)


def _compared(gate: dict[str, Any]) -> int | None:
    return None if gate["registered"] is None else int(gate["registered"]["version"])


def changes(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """Yield the differences between production and the new version: name, before, after."""
    old, new = (_facts(files) for files in (outcome.before, outcome.now()))
    for name, value in new.items():
        if value != old.get(name):
            yield name, old.get(name, "–"), value


def _facts(files: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the facts that are compared in words, by name."""
    if not files:
        return {}
    manifest, tuning = files[_MANIFEST], files[_TUNING]
    facts = {"trained on": _span(manifest, "train"), "tested on": _span(manifest, "test")}
    for name, target in tuning["targets"].items():
        facts[f"{name}: chosen"] = target["chosen"]
        facts[f"{name}: rows trained on"] = f"{target['rows_trained']:,}"
        for candidate, parameters in target["parameters"].items():
            facts |= {f"{name}: {candidate}.{key}": f"{value:.6g}" for key, value in _numbers(parameters)}
    digests = (("data", "data_digest"), ("use case", "use_case_digest"), ("code", "git_revision"))
    return facts | {what: str(manifest[key])[:12] for what, key in digests}


def _span(manifest: dict[str, Any], which: str) -> str:
    split = manifest.get("split") or {}
    return f"{split.get(f'{which}_from') or 'the start'} to {split.get(f'{which}_to') or 'the end'}"


def _numbers(parameters: dict[str, Any]) -> Iterator[tuple[str, float]]:
    return ((key, value) for key, value in parameters.items() if isinstance(value, int | float))


def _in_production(registry: str, use_case: str, number: int | None) -> dict[str, dict[str, Any]]:
    if number is None:
        return {}
    try:
        store = Registry(registry)
        files = store.files(use_case, number)
        return {name: json.loads(read_blob(store.store, name, files[name]["sha256"])) for name in (_MANIFEST, _TUNING)}
    # The registry of a cluster need not be reachable from the machine that submits.
    except (AlmanacError, OSError, KeyError, ImportError):
        return {}
