"""Overview of versions: status, approvals, age, labels and key figures, as people and programs list them."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry.reader import Reader
from governance.registry.state import State, Version
from governance.registry.versions import read_blob, read_manifest

METRICS = "metrics.json"
#: The first figures of a target that a list shows; the first is what most teams choose by.
_HEADLINE = {"regression": ("rmse", "mae"), "classification": ("log_loss", "auc")}


def describe(registry: Reader, state: State, entry: Version) -> dict[str, Any]:
    """Return the description of a version, as plain values.

    Args:
        registry: the registry.
        state: the state of the use case.
        entry: the version.
    """
    counted, labels = state.counted(entry), state.labels_of(entry.number)
    return {
        "address": f"registry:{state.use_case}/{entry.number}",
        "use_case": state.use_case,
        **vars(entry),
        "status": state.status(entry),
        # Names alone, as before; `identities` says what proves each, and whether the policy counts it.
        "approvals": [each.who for each in entry.approvals],
        "identities": [
            {"who": each.who, "identity": each.identity, "event": each.event, "counted": each in counted}
            for each in entry.approvals
        ],
        "approval": "required" if state.needs_approval(entry) else "none",
        "aliases": state.aliases_of(entry.number),
        "tags": dict(labels.tags),
        "description": labels.description,
        "figures": headline(figures(registry, state.use_case, entry)),
    }


def figures(registry: Reader, use_case: str, entry: Version) -> dict[str, Any]:
    """Return a version's metrics.json, empty for a version without one.

    Raises:
        RegistryError: a blob that is missing or altered, or not JSON.
    """
    return read_document(registry, use_case, entry, METRICS) or {}


def read_document(registry: Reader, use_case: str, entry: Version, name: str) -> dict[str, Any] | None:
    """Return a JSON file of a version, None if the version has no such file.

    Raises:
        RegistryError: a blob that is missing or altered, or not a JSON object.
    """
    item = read_manifest(registry.store, use_case, entry.manifest)["files"].get(name)
    if item is None:
        return None
    try:
        document = json.loads(read_blob(registry.store, name, item["sha256"]))
    except ValueError as error:
        raise RegistryError(f"{use_case} version {entry.number}: {name} is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise RegistryError(f"{use_case} version {entry.number}: {name} is not a JSON object")
    return document


def headline(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return target -> the figures of metrics.json that a list of versions shows."""
    found: dict[str, dict[str, float]] = {}
    for target, values in metrics.get("targets", {}).items():
        names = _HEADLINE.get(str(values.get("task")), _HEADLINE["regression"])
        # Figures of an older release may lack a name, and a list must show its versions all the same.
        numbers = {name: values[name] for name in names if isinstance(values.get(name), int | float)}
        coverage = values.get("coverage")
        if isinstance(coverage, Mapping) and isinstance(coverage.get("overall"), int | float):
            numbers["coverage"] = coverage["overall"]
        found[target] = numbers
    return found


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of every scalar; a list counts as one value, items with a name by that name."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from flatten(item, f"{prefix}{name}.")
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        for item in value:
            yield from flatten({key: part for key, part in item.items() if key != "name"}, f"{prefix}{item['name']}.")
    else:
        yield prefix.rstrip("."), value


def age(since: str, now: datetime) -> str:
    """Return the time since a moment in one unit: minutes, hours or days."""
    seconds = max(0.0, (now - datetime.fromisoformat(since)).total_seconds())
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"
