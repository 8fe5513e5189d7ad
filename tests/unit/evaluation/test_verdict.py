"""The first page of a report: a verdict, and what to do."""

from typing import Any

import pytest

from almanac.evaluation.labels import series_of
from almanac.evaluation.verdict import advice, title_of, verdict


def _entry(skill: tuple[float, float, float], **changed: Any) -> dict[str, Any]:
    value, low, high = skill
    return {
        "column": "load",
        "horizon": "6h",
        "task": "regression",
        "unit": "MW",
        "rmse": 10.0,
        "bias": 0.5,
        "ci": {"rmse": [9.0, 11.0], "bias": [-0.5, 1.5]},
        "coverage": {"nominal": 0.9, "overall": 0.91, "ci": [0.88, 0.93]},
        "headline": {"baseline": "recent_mean", "metric": "rmse", "error": 12.0, "skill": value, "ci": [low, high]},
        **changed,
    }


WINS, MAY, LOSES = _entry((0.2, 0.1, 0.3)), _entry((0.02, -0.1, 0.1)), _entry((-0.1, -0.2, -0.05))


def test_a_model_that_wins_everywhere_is_told_in_a_sentence() -> None:
    tone, text = verdict({"a": WINS, "b": _entry((0.4, 0.3, 0.5))})
    assert (tone, text) == (
        "good",
        "Better than the best simple rule for all 2 targets: the error is 20% to 40% smaller.",
    )
    assert verdict({"a": WINS})[1] == "Better than the best simple rule: the error is 20% smaller."
    assert advice({"a": WINS}) == [
        "Nothing in these figures speaks against the model. Approve it if the rules of the gate hold, and look again "
        "when monitoring reports drift."
    ]


@pytest.mark.parametrize(("entry", "words"), [(MAY, "may be no better than"), (LOSES, "is no better than")])
def test_a_model_that_does_not_win_is_advised_against(entry: dict[str, Any], words: str) -> None:
    assert verdict({"a": entry}) == ("bad", "Not better than a simple rule: nothing is gained by using this model.")
    [told] = advice({"a": entry})
    assert told.startswith(f"load, 6 h ahead: the model {words} the mean of the last season.")
    tone, text = verdict({"a": WINS, "b": entry})
    assert tone == "info"
    assert text == "Better than the best simple rule for 1 of 2 targets, by 20% of its error; not for load, 6 h ahead."


def test_intervals_that_hold_too_little_and_a_bias_are_told() -> None:
    # As many rows as the reference has tell 91.7% from 90%, which nobody has to act upon.
    close = {"nominal": 0.9, "overall": 0.917, "ci": [0.91, 0.925]}
    assert advice({"a": _entry((0.2, 0.1, 0.3), coverage=close)})[0].startswith("Nothing in these figures speaks")
    narrow = {"nominal": 0.9, "overall": 0.7, "ci": [0.65, 0.75]}
    told = advice({"a": _entry((0.2, 0.1, 0.3), coverage=narrow, bias=3.0, ci={"bias": [2.0, 4.0]})})
    assert [text.partition(": ")[2] for text in told] == [
        "the 90% interval holds 70% of the measured values. It is too narrow: leave more reserve than it says.",
        "forecasts are too high by 3.00 MW on average. Look for a change since training.",
    ]


def test_targets_that_share_a_finding_share_a_sentence() -> None:
    narrow = [{"nominal": 0.9, "overall": share, "ci": [share - 0.05, share + 0.05]} for share in (0.84, 0.7, 0.7)]
    skills = ((0.02, -0.1, 0.1), (0.02, -0.1, 0.1), (-0.1, -0.2, -0.05))
    high = {"bias": 3.0, "ci": {"bias": [2.0, 4.0]}}
    entries = [
        _entry(skill, coverage=coverage, horizon=f"{hours}h", **high | {"bias": float(hours)})
        for hours, (skill, coverage) in enumerate(zip(skills, narrow, strict=True), start=3)
    ]
    told = advice({entry["horizon"]: entry for entry in entries})
    assert [text.partition(".")[0] for text in told] == [
        "load, 3 h ahead; load, 4 h ahead: the model may be no better than the mean of the last season",
        "load, 5 h ahead: the model is no better than the mean of the last season",
        "load, 3 h ahead; load, 4 h ahead; load, 5 h ahead: the 90% interval holds 70% to 84% of the measured values",
        "load, 3 h ahead; load, 4 h ahead; load, 5 h ahead: forecasts are too high by 3",
    ]
    assert told[-1].endswith("by 3.00 to 5.00 MW on average. Look for a change since training.")


def test_of_many_targets_a_few_are_named() -> None:
    told = advice({str(hours): _entry((0.02, -0.1, 0.1), horizon=f"{hours}h") for hours in range(1, 10)})
    assert [text.partition(":")[0] for text in told] == [
        "load, 1 h ahead; load, 2 h ahead; load, 3 h ahead; load, 4 h ahead and 5 more"
    ]


def test_an_event_has_no_hours_ahead() -> None:
    assert title_of(WINS, events=True) == "load, next event"
    assert title_of({**WINS, "above": 20.0}) == "load above 20 MW, 6 h ahead"


def test_series_are_named_once() -> None:
    assert series_of("station", 12) == "12 station series"
    assert series_of("series", 1203) == "1,203 series"
