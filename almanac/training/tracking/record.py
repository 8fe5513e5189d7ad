"""The tracking record of a training: parameters, metrics and trials."""

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
    for target, tuned in tuning["targets"].items():
        record["parameters"].update({f"{target}/chosen": tuned["chosen"], **_flat(target, tuned["parameters"])})
        record["parameters"].update(_flat(f"{target}/weights", tuned["weights"]))
        record["metrics"].update(_metrics(target, tuned))
        record["trials"][target] = tuned["trials"]
    return {**record, "key": sha256_bytes(canonical_json(record))[:32]}


def _metrics(target: str, tuned: dict[str, Any]) -> dict[str, float]:
    metric = tuned["metric"]
    metrics = {f"{target}/folds/{metric}": tuned["loss"]}
    for kind in ("candidates", "baselines"):
        metrics.update({f"{target}/{kind}/{name}/{metric}": each["loss"] for name, each in tuned[kind].items()})
    return metrics


def _flat(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}/{name}"
        flat.update(_flat(key, value) if isinstance(value, dict) else {key: value})
    return flat
