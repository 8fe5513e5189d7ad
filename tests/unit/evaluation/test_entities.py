"""A panel's entities: unseen ones with a coverage of their own, the worst ones, and the weeks that the report draws."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.evaluation import error_analysis
from almanac.evaluation.entities import MOST_ENTITIES
from almanac.evaluation.entities_report import entities
from almanac.evaluation.evaluate import predictions
from almanac.evaluation.gate.decide import decide
from almanac.evaluation.gate.evidence import read_evidence
from almanac.evaluation.groups import Slices
from almanac.evaluation.importance import entity_of
from almanac.evaluation.labels import TRAINING
from almanac.evaluation.plots import errors, shap
from almanac.evaluation.sampled_weeks import sampled_weeks
from almanac.evaluation.scored_rows import ScoredRows, unseen_rows
from almanac.evaluation.target_metrics import target_metrics
from almanac.reports import Details, Table, Times
from tests.support import panel

HOURS = 24 * 28
START = int(datetime(2020, 6, 1).timestamp()) * 1_000_000
#: Size of the errors of each meter; that of `south`, which training has not seen, is wider than any interval.
SIZES = {"east": 1.0, "north": 4.0, "south": 9.0, "west": 2.0}


def scored(*names: str, hours: int = HOURS) -> ScoredRows:
    """Return rows of these meters, whose interval is two to either side of a forecast of forty."""
    random = np.random.default_rng(0)
    y = np.concatenate([40.0 + SIZES.get(name, 1.0) * random.normal(size=hours) for name in names])
    forecast, count = np.full(y.size, 40.0), len(names)
    time = np.tile(START + 3_600_000_000 * np.arange(hours), count)
    meter = np.repeat(np.array(names, dtype=object), hours)
    case = panel.usecase()
    return ScoredRows(
        target=case.targets[0],
        keys=pl.DataFrame({"meter": meter.tolist(), "timestamp": time.astype("datetime64[us]")}),
        time=time,
        grid=case.time.grid,
        X=np.zeros((y.size, 1)),
        y=y,
        prediction=forecast,
        lower=forecast - 2.0,
        upper=forecast + 2.0,
        last=forecast,
        baselines={"persistence": forecast + 1.0},
        bands=Slices.of(["all"], np.zeros(y.size, np.int64)),
        groups={},
        scale=1.0,
        scales=np.where(meter == "north", 6.0, 2.0),
        unseen=np.asarray(meter == "south"),
    )


@pytest.fixture(scope="module")
def entry() -> dict[str, Any]:
    return target_metrics(panel.usecase(), scored(*SIZES), "smoothing")


def test_an_entity_without_a_known_target_in_training_is_unseen() -> None:
    table = pl.DataFrame({"meter": ["a", "a", "b", "b", "c"]})
    learned = np.array([True, False, False, False, False])
    found = unseen_rows(panel.usecase(), table, learned, np.array([1, 2, 3, 4]))
    assert found is not None
    assert found.tolist() == [False, True, True, True]
    assert unseen_rows(panel.usecase().model_copy(update={"entity": None}), table, learned, np.array([1])) is None


def test_unseen_entities_have_figures_and_a_coverage_of_their_own(entry: dict[str, Any]) -> None:
    rows = scored(*SIZES)
    south = np.asarray(rows.unseen)
    inside = np.abs(rows.y - 40.0) <= 2.0
    assert entry["coverage"]["unseen"]["coverage"] == pytest.approx(inside[south].mean())
    assert entry["coverage"]["unseen"]["n"] == HOURS
    assert entry["coverage"]["unseen"]["ci"][0] < inside[south].mean() < entry["coverage"]["unseen"]["ci"][1]
    parts = entry["slices"][TRAINING]
    assert parts["seen"]["coverage"] == pytest.approx(inside[~south].mean())
    assert parts["unseen"]["mae"] == pytest.approx(np.abs(rows.y - 40.0)[south].mean())
    assert entry["entities"]["unseen"] == {"count": 1, "names": ["south"]}


def test_where_all_entities_were_seen_there_is_no_such_group() -> None:
    known = replace(scored("east", "west"), unseen=np.zeros(2 * HOURS, np.bool_))
    found = target_metrics(panel.usecase(), known, "smoothing")
    assert TRAINING not in found["slices"]
    assert "unseen" not in found["coverage"]
    assert found["entities"]["unseen"] == {"count": 0, "names": []}


def test_the_worst_entities_are_ranked_by_their_own_unit(entry: dict[str, Any]) -> None:
    figures, rows = entry["entities"], scored(*SIZES)
    size = {name: np.abs(rows.y - 40.0)[(rows.keys["meter"] == name).to_numpy()] for name in SIZES}
    assert figures["ranked_by"] == "mase"
    assert [row["entity"] for row in figures["worst"]] == ["south", "west", "north", "east"]
    assert [row["unseen"] for row in figures["worst"]] == [True, False, False, False]
    assert figures["each"]["west"]["mae"] == pytest.approx(size["west"].mean())
    assert figures["each"]["north"]["mase"] == pytest.approx(size["north"].mean() / 6.0)
    assert figures["each"]["east"]["rmse"] == pytest.approx(np.sqrt(np.mean(size["east"] ** 2)))
    assert figures["median"]["mae"] == pytest.approx(np.median([values.mean() for values in size.values()]))
    assert entry["mase_median"] == pytest.approx(figures["median"]["mase"])


def test_a_single_series_has_no_entities() -> None:
    alone = replace(scored("east"), keys=scored("east").keys.select("timestamp"), unseen=None, scales=None)
    assert "entities" not in target_metrics(panel.usecase(), alone, "smoothing")


def test_of_many_entities_the_worst_alone_are_written() -> None:
    names = [f"meter{number:03d}" for number in range(MOST_ENTITIES + 1)]
    rows = scored(*names, hours=40)
    figures = target_metrics(panel.usecase(), rows, "smoothing")["entities"]
    assert figures["count"] == len(names)
    assert len(figures["worst"]) == 10
    assert "each" not in figures


def test_weeks_of_several_entities_are_drawn_and_named() -> None:
    rows = scored(*SIZES)
    east = 20.0 * (rows.keys["meter"] == "east").to_numpy()
    weeks = sampled_weeks(replace(rows, y=rows.y + east, prediction=rows.prediction + east))
    assert list(weeks) == [
        "An ordinary entity, north, an ordinary week",
        "The entity with the highest values, east, the highest week",
        "The hardest entity, west, the hardest week",
        "An unseen entity, south, an ordinary week",
    ]
    for title, chosen in weeks.items():
        assert rows.keys["meter"][chosen].unique().to_list() == [title.split(", ")[1]]
        assert chosen.size == 24 * 7
    titles = [axis.get_title("left") for axis in errors.weeks(rows, "%", Times()).axes]
    assert any("south" in title and "June 2020" in title for title in titles)
    counted = errors.weeks(rows, "%", Times(origin=date(2020, 6, 1))).axes
    assert all(": day " in axis.get_title("left") for axis in counted)
    assert counted[0].get_xlabel() == "days since the start"


def test_a_span_of_less_than_two_weeks_is_drawn_whole() -> None:
    weeks = sampled_weeks(scored("east", "north", hours=24 * 9))
    assert {rows.size for rows in weeks.values()} == {24 * 9}


def test_a_series_of_months_is_drawn_whole() -> None:
    """A week would hold a single point, through which no line goes."""
    hours = scored("east", "north", hours=24 * 12)
    rows = replace(hours, time=hours.time // 3_600_000_000 * 30 * 86_400_000_000)
    weeks = sampled_weeks(rows)
    assert all(title.endswith(", the whole test span") for title in weeks)
    assert {chosen.size for chosen in weeks.values()} == {24 * 12}


def test_a_forecast_of_an_event_is_of_its_own_time() -> None:
    """Its outcome may be known a month later, as that of a month is, and no report shows the event there."""
    rows = scored("east", hours=48)
    assert (rows.due.astype(np.int64) > rows.time).all()
    assert (replace(rows, events=True).due.astype(np.int64) == rows.time).all()


def test_weeks_of_one_series_are_the_highest_an_ordinary_and_the_hardest() -> None:
    rows = scored("east")
    alone = replace(rows, keys=rows.keys.select("timestamp"), unseen=None, scales=None)
    assert set(sampled_weeks(alone)) <= {"The highest week", "An ordinary week", "The hardest week"}
    assert {title.split(", ")[1] for title in sampled_weeks(rows)} == {"east"}


@pytest.mark.parametrize(("days", "unit", "points", "worst"), [(9, "day", 10, 4), (70, "week", 10, 10)])
def test_errors_over_time_are_drawn_by_days_where_weeks_are_few(days: int, unit: str, points: int, worst: int) -> None:
    rows = scored("east", "north", hours=24 * days)
    binned = {"forecast": error_analysis.against(rows.prediction, rows.prediction - rows.y)}
    figure = errors.residuals(rows, error_analysis.by_week(rows), binned, "%", {}, Times())
    assert figure.axes[0].get_title("left") == f"Forecast less truth, {unit} by {unit}, %"
    # Six hours ahead, so that the last forecasts fall on another day.
    assert len(figure.axes[0].lines[0].get_xdata()) == points
    assert len(error_analysis.worst_days(rows)) == worst


def test_an_explained_row_names_its_entity() -> None:
    rows = scored("east", "north", hours=30)
    assert entity_of(rows, 3) == {"entity": "east"}
    assert entity_of(rows, 31) == {"entity": "north"}
    assert entity_of(replace(rows, keys=rows.keys.select("timestamp")), 3) == {}
    row = {"why": "worst miss", "of": "2020-06-01T03:00", "prediction": 40.0, "y": 41.0, "others": 0.1}
    feature = {"name": "a_very_long_name_of_a_feature_24h", "value": 5.84, "contribution": 0.2}
    axis = shap.local([{**row, "features": [feature], **entity_of(rows, 31)}], "%", {}, Times()).axes[0]
    assert axis.get_title("left").split("\n") == [
        "Worst miss, 2020-06-01 03:00",
        "of north",
        "forecast 40, truth 41 %",
    ]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["all others", "a_very_lon…feature_24h = 5.84"]


@pytest.mark.parametrize(("wrong", "passed"), [(1, True), (30, False)])
def test_the_gate_tells_few_entities_whose_intervals_are_too_narrow_from_many(wrong: int, passed: bool) -> None:
    """One of thirty entities with half of the coverage is what entities differ by; all thirty are a model's fault."""
    names = [f"meter{number:02d}" for number in range(30)]
    rows, case = scored(*names), panel.usecase(gates=[{"rule": "coverage", "within": 0.01}])
    half = np.where(np.isin(rows.keys["meter"].to_list(), names[:wrong]), 0.5, 1.0)
    ends = 1.645 * half
    rows = replace(rows, lower=rows.prediction - ends, upper=rows.prediction + ends)
    metrics = {"targets": {rows.target.name: target_metrics(case, rows, "smoothing")}}
    checks = decide(case, metrics, read_evidence(case, predictions([rows])))["rules"]
    found = next(check for check in checks if check["rule"] == "coverage" and "overall" in check["figure"])
    assert found["passed"] is passed, found["message"]
    assert "periods and 30 entities" in found["message"]


def test_the_report_marks_unseen_entities(entry: dict[str, Any]) -> None:
    note, table, *rest = entities(entry)
    assert "1 of them without a known value in training, marked as unseen: south" in getattr(note, "text", "")
    assert isinstance(table, Table)
    names = [row[0] for row in table.rows]
    assert names == [
        "all rows", "seen entities", "unseen entities", "median of the entities",
        "south (unseen)", "west", "north", "east",
    ]  # fmt: skip
    assert not rest
    many = {**entry, "entities": {**entry["entities"], "worst": entry["entities"]["worst"][:2]}}
    assert isinstance(list(entities(many))[-1], Details)
