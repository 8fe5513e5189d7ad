"""The verdict on a report's first page, and its advice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from almanac.evaluation.labels import ahead, unit_of
from almanac.evaluation.metrics import ERRORS
from almanac.reports import format_number

Tone = Literal["good", "bad", "info"]

#: A bias is worth a sentence from this share of the error on.
_BIASED = 0.2
#: A coverage is, from this distance on: many rows show a smaller one that changes no decision.
_UNEVEN = 0.02
#: Targets of one finding that are named.
_NAMED = 4

Entry = dict[str, Any]


def title_of(entry: Entry, events: bool = False) -> str:
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
    share = _between([f"{skill:.0%}" for skill in sorted(entry["headline"]["skill"] for entry in won)])
    if len(won) < len(targets):
        lost = [entry for entry in targets.values() if not _wins(entry)]
        return "info", (
            f"Better than the best simple rule for {len(won)} of {len(targets)} targets, by {share} of its error; "
            f"not for {_named(lost, events)}."
        )
    which = "" if len(targets) == 1 else f" for all {len(targets)} targets"
    return "good", f"Better than the best simple rule{which}: the error is {share} smaller."


def advice(targets: Mapping[str, Any], events: bool = False) -> list[str]:
    """Return advice, a sentence for each finding and the targets that share it, the most important first."""
    found = [*_lost(targets, events), *_uncovered(targets, events), *_biased(targets, events)]
    return found or [
        "Nothing in these figures speaks against the model. Approve it if the rules of the gate hold, and look again "
        "when monitoring reports drift."
    ]


def _wins(entry: Entry) -> bool:
    best = entry["headline"]
    return best["skill"] is not None and best["ci"] is not None and best["ci"][0] > 0


def _lost(targets: Mapping[str, Any], events: bool) -> Iterator[str]:
    def finding(entry: Entry) -> tuple[str, str] | None:
        best = entry["headline"]
        if _wins(entry) or best["skill"] is None:
            return None
        return "may be no better than" if best["skill"] > 0 else "is no better than", _plain(best["baseline"])

    for (how, rule), entries in _alike(targets, finding).items():
        yield (
            f"{_named(entries, events)}: the model {how} {rule}. Forecast by that rule, or add "
            "history or columns that are known in advance, and train again."
        )


def _uncovered(targets: Mapping[str, Any], events: bool) -> Iterator[str]:
    def finding(entry: Entry) -> tuple[float, bool] | None:
        coverage = entry.get("coverage")
        if not coverage or coverage["ci"] is None or coverage["overall"] is None:
            return None
        nominal, overall, (low, high) = coverage["nominal"], coverage["overall"], coverage["ci"]
        if low <= nominal <= high or abs(overall - nominal) < _UNEVEN:
            return None
        return nominal, overall < nominal

    for (nominal, narrow), entries in _alike(targets, finding).items():
        held = _between([f"{share:.0%}" for share in sorted(entry["coverage"]["overall"] for entry in entries)])
        yield (
            f"{_named(entries, events)}: the {nominal:.0%} interval holds {held} of the measured values. "
            f"It is too {'narrow' if narrow else 'wide'}: leave {'more' if narrow else 'less'} reserve than it says."
        )


def _biased(targets: Mapping[str, Any], events: bool) -> Iterator[str]:
    def finding(entry: Entry) -> tuple[str, str] | None:
        bias, span = entry.get("bias"), entry["ci"].get("bias")
        if entry["task"] != "regression" or bias is None or not span or span[0] <= 0 <= span[1]:
            return None
        if abs(bias) < _BIASED * entry[ERRORS[entry["task"]][0]]:
            return None
        return "high" if bias > 0 else "low", unit_of(entry)

    for (side, unit), entries in _alike(targets, finding).items():
        sizes = sorted((abs(entry["bias"]), entry[ERRORS[entry["task"]][0]]) for entry in entries)
        size = _between([format_number(bias, 2 if error < 100 else 1) for bias, error in sizes])
        yield (
            f"{_named(entries, events)}: forecasts are too {side} by {f'{size} {unit}'.rstrip()} on average. "
            "Look for a change since training."
        )


def _alike(
    targets: Mapping[str, Any], finding: Callable[[Entry], tuple[Any, Any] | None]
) -> dict[tuple[Any, Any], list[Entry]]:
    """Return the targets of each finding, in order."""
    groups: dict[tuple[Any, Any], list[Entry]] = {}
    for entry in targets.values():
        if (found := finding(entry)) is not None:
            groups.setdefault(found, []).append(entry)
    return groups


def _named(entries: Sequence[Entry], events: bool) -> str:
    """Return the titles of targets, the first few of many."""
    more = f" and {len(entries) - _NAMED} more" if len(entries) > _NAMED else ""
    return "; ".join(title_of(entry, events) for entry in entries[:_NAMED]) + more


def _between(ascending: Sequence[str]) -> str:
    """Return the range of figures, one figure where it has no width."""
    low, high = ascending[0], ascending[-1]
    return low if low == high else f"{low} to {high}"


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
