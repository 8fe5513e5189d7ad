"""The verdict on a report's first page, and its advice."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from almanac.evaluation.labels import ahead, unit_of
from almanac.evaluation.metrics import ERRORS
from almanac.reports import format_number

Tone = Literal["good", "bad", "info"]

#: A bias is worth a sentence from this share of the error on.
_BIASED = 0.2
#: Findings of one kind that are told one by one.
_SHOWN = 4


def title_of(entry: Mapping[str, Any], events: bool = False) -> str:
    """Return the title of a target: column, threshold of a class, and horizon."""
    above = f" above {entry['above']:g} {entry['unit'] or ''}".rstrip() if "above" in entry else ""
    return f"{entry['column']}{above}, {ahead(entry['horizon'], events)}"


def verdict(targets: Mapping[str, Any], events: bool = False) -> tuple[Tone, str]:
    """Return the verdict over all targets, and its tone.

    A target is won where the whole interval of the skill against the best baseline lies above zero.
    """
    won = [entry for entry in targets.values() if _wins(entry)]
    if not won:
        return "bad", "Not better than a simple rule: nothing is gained by using this model."
    # Skill is a share of the error that is saved.
    saved = sorted(entry["headline"]["skill"] for entry in won)
    share = f"{saved[0]:.0%}" if len(won) == 1 else f"{saved[0]:.0%} to {saved[-1]:.0%}"
    if len(won) < len(targets):
        lost = [title_of(entry, events) for entry in targets.values() if not _wins(entry)]
        named = "; ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
        return "info", (
            f"Better than the best simple rule for {len(won)} of {len(targets)} targets, by {share} of its error; "
            f"not for {named}."
        )
    which = "" if len(targets) == 1 else f" for all {len(targets)} targets"
    return "good", f"Better than the best simple rule{which}: the error is {share} smaller."


def advice(targets: Mapping[str, Any], events: bool = False) -> list[str]:
    """Return advice, a sentence for each finding, the most important first."""
    found = [*_lost(targets, events), *_uncovered(targets, events), *_biased(targets, events)]
    return found or [
        "Nothing in these figures speaks against the model. Approve it if the rules of the gate hold, and look again "
        "when monitoring reports drift."
    ]


def _wins(entry: Mapping[str, Any]) -> bool:
    best = entry["headline"]
    return best["skill"] is not None and best["ci"] is not None and best["ci"][0] > 0


def _lost(targets: Mapping[str, Any], events: bool) -> Iterator[str]:
    for entry in targets.values():
        best = entry["headline"]
        if _wins(entry) or best["skill"] is None:
            continue
        how = "may be no better than" if best["skill"] > 0 else "is no better than"
        yield (
            f"{title_of(entry, events)}: the model {how} {_plain(best['baseline'])}. Forecast by that rule, or add "
            "history or columns that are known in advance, and train again."
        )


def _uncovered(targets: Mapping[str, Any], events: bool) -> Iterator[str]:
    for entry in targets.values():
        coverage = entry.get("coverage")
        if not coverage or coverage["ci"] is None or coverage["overall"] is None:
            continue
        low, high = coverage["ci"]
        if low <= coverage["nominal"] <= high:
            continue
        narrow = coverage["overall"] < coverage["nominal"]
        yield (
            f"{title_of(entry, events)}: the {coverage['nominal']:.0%} interval holds {coverage['overall']:.0%} of the "
            f"measured values. It is too {'narrow' if narrow else 'wide'}: leave "
            f"{'more' if narrow else 'less'} reserve than it says."
        )


def _biased(targets: Mapping[str, Any], events: bool) -> Iterator[str]:
    for entry in targets.values():
        bias, span = entry.get("bias"), entry["ci"].get("bias")
        error = entry[ERRORS[entry["task"]][0]]
        if entry["task"] != "regression" or not span or span[0] <= 0 <= span[1] or abs(bias) < _BIASED * error:
            continue
        size = f"{format_number(abs(bias), 2 if error < 100 else 1)} {unit_of(entry)}".rstrip()
        side = "high" if bias > 0 else "low"
        yield (
            f"{title_of(entry, events)}: forecasts are too {side} by {size} on average. "
            "Look for a change since training."
        )


def _plain(baseline: str) -> str:
    """Return a baseline in words."""
    return _RULES.get(baseline, baseline.replace("_", " "))


_RULES = {
    "persistence": "the last known value",
    "seasonal": "the last known value of the same season",
    "mean": "the mean of the training data",
    "climatology": "the mean of the same season in the training data",
    "recent_mean": "the mean of the last season",
    "drift": "the last value plus the trend",
}
