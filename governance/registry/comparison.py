"""Comparison of two versions: figures, parameters, data and features."""

import io
from collections.abc import Mapping
from typing import Any

from almanac.core.files import canonical_json
from governance.registry.overview import figures, flatten, read_document
from governance.registry.reader import Reader
from governance.registry.state import Version
from governance.registry.versions import read_blob, read_manifest

_PREDICTIONS = "predictions.parquet"
#: Parts of tuning.json that are results or data, and no parameters.
_NOT_PARAMETERS = frozenset({"table", "folds", "loss", "rows_compared", "rows_trained", "span_trained", "seconds"})

Pair = tuple[Version, Version]


def compare(registry: Reader, use_case: str, first: str, second: str) -> dict[str, Any]:
    """Return the differences of two versions of a use case.

    Figures are given a difference only where both versions were scored on the same rows with the same truth.

    Args:
        registry: the registry.
        use_case: the use case.
        first: a version, stage or alias.
        second: another one.

    Returns:
        `figures`: target -> {"same_rows", "metrics": name -> {"first", "second", "difference"}}; `parameters` and
        `data`: path -> [first, second] where they differ; `features`: target -> {"only_first", "only_second"}.

    Raises:
        RegistryError: an unknown version, or a file that is missing or altered.
    """
    pair = registry.version(use_case, first), registry.version(use_case, second)
    return {
        "use_case": use_case,
        "first": pair[0].number,
        "second": pair[1].number,
        "figures": _figures(registry, use_case, pair),
        "parameters": _differing(registry, use_case, pair, "tuning.json"),
        "data": _differing(registry, use_case, pair, "lineage.json"),
        "features": _features(registry, use_case, pair),
    }


def _figures(registry: Reader, use_case: str, pair: Pair) -> dict[str, Any]:
    first, second = (figures(registry, use_case, entry).get("targets", {}) for entry in pair)
    result = {}
    rows = _scored_rows(registry, use_case, pair)
    for target in (name for name in first if name in second):
        same = rows(target)
        left, right = (_numbers(metrics[target]) for metrics in (first, second))
        result[target] = {
            "same_rows": same,
            "metrics": {
                name: {
                    "first": left[name],
                    "second": right[name],
                    # A difference of figures of other rows says nothing about the models.
                    "difference": right[name] - left[name] if same else None,
                }
                for name in left
                if name in right
            },
        }
    return result


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    paths = flatten(values)
    return {path: value for path, value in paths if isinstance(value, int | float) and not isinstance(value, bool)}


def _scored_rows(registry: Reader, use_case: str, pair: Pair) -> Any:
    """Return a function of a target: whether both versions were scored on the same rows, None if nobody can say."""
    listed = [read_manifest(registry.store, use_case, entry.manifest)["files"].get(_PREDICTIONS) for entry in pair]
    if None in listed:
        return lambda target: None
    # Imported here: a server reads registries and has no polars.
    import polars as pl

    tables = [pl.read_parquet(io.BytesIO(read_blob(registry.store, _PREDICTIONS, item["sha256"]))) for item in listed]

    def same(target: str) -> bool:
        parts = [table.filter(pl.col("target") == target) for table in tables]
        # Rows are compared with their truth, which a later version of the data may have corrected.
        keys = [part.columns[: part.columns.index("y") + 1] for part in parts]
        return keys[0] == keys[1] and parts[0].select(keys[0]).sort(keys[0]).equals(
            parts[1].select(keys[1]).sort(keys[1])
        )

    return same


def _differing(registry: Reader, use_case: str, pair: Pair, name: str) -> dict[str, list[Any]]:
    first, second = (dict(flatten(read_document(registry, use_case, entry, name) or {})) for entry in pair)
    # In the files' own order, which is the order in which people wrote them.
    paths = [path for path in dict.fromkeys((*first, *second)) if not _NOT_PARAMETERS & set(path.split(".")[:-1])]
    if name == "tuning.json":
        paths = [path for path in paths if path.split(".")[-1] not in _NOT_PARAMETERS]
    else:
        # When a source was read differs every time, and says nothing about what was read.
        paths = [path for path in paths if not path.endswith("fetched_at")]
    return {path: [first.get(path), second.get(path)] for path in paths if first.get(path) != second.get(path)}


def _features(registry: Reader, use_case: str, pair: Pair) -> dict[str, dict[str, list[Any]]]:
    specifications = [_specifications(registry, use_case, entry) for entry in pair]
    result = {}
    for target in dict.fromkeys((*specifications[0], *specifications[1])):
        first, second = (each.get(target, {}) for each in specifications)
        only = {
            "only_first": [first[key] for key in first if key not in second],
            "only_second": [second[key] for key in second if key not in first],
        }
        if any(only.values()):
            result[target] = only
    return result


def _specifications(registry: Reader, use_case: str, entry: Version) -> dict[str, dict[bytes, Any]]:
    """Return target -> its declared features, by their canonical form."""
    names = read_manifest(registry.store, use_case, entry.manifest)["files"]
    found = {}
    for name in names:
        if name.startswith("model/") and name.endswith("/features.json"):
            document = read_document(registry, use_case, entry, name) or {}
            items = document.get("spec", {}).get("items", [])
            found[name.split("/")[1]] = {canonical_json(item): item for item in items}
    return found
