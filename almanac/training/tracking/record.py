"""The record of a training: what was tried, what it reached, what was kept."""

from typing import Any

from almanac.core.files import canonical_json, sha256_bytes


def make_record(tuning: dict[str, Any], use_case_digest: str) -> dict[str, Any]:
    """Return the record of a training, the same for the same training.

    Args:
        tuning: content of tuning.json.
        use_case_digest: sha256 of the use case.

    Returns:
        `name`, `tags`, flat `parameters` and `metrics` as trackers want them, `trials` a target, and `key`, which is
        derived from the rest: 32 hexadecimal digits, so that the same training is never uploaded twice.
    """
    record: dict[str, Any] = {
        "name": f"{tuning['use_case']}-{sha256_bytes(canonical_json(tuning))[:12]}",
        "project": tuning["use_case"].replace("_", "-"),
        "tags": ["almanac", tuning["use_case"]],
        "use_case_digest": use_case_digest,
        "parameters": {"seed": tuning["seed"], **_flat("budget", tuning["budget"])},
        "metrics": {},
        "trials": {},
    }
    for target, found in tuning["targets"].items():
        record["parameters"].update({f"{target}/chosen": found["chosen"], **_flat(target, found["parameters"])})
        record["parameters"].update(_flat(f"{target}/weights", found["weights"]))
        record["metrics"].update(_figures(target, found))
        record["trials"][target] = found["trials"]
    return {**record, "key": sha256_bytes(canonical_json(record))[:32]}


def _figures(target: str, found: dict[str, Any]) -> dict[str, float]:
    metric = found["metric"]
    figures = {f"{target}/folds/{metric}": found["loss"]}
    for kind in ("candidates", "baselines"):
        figures.update({f"{target}/{kind}/{name}/{metric}": each["loss"] for name, each in found[kind].items()})
    return figures


def _flat(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        place = f"{prefix}/{name}"
        flat.update(_flat(place, value) if isinstance(value, dict) else {place: value})
    return flat
