"""Features of events: both engines on odd tables of games, and outcomes that are not known yet."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almanac.core.errors import FeatureError
from almanac.features.batch import compute
from almanac.features.events.batch import events_of, with_histories
from almanac.features.events.engine import EventEngine
from almanac.features.events.kind import EventKind
from almanac.features.spec import FeatureSpec
from almanac.features.target import targets
from almanac.usecase import UseCase, load
from almanac.usecase.column_section import Column
from almanac.usecase.events_section import Events, Residual
from almanac.usecase.features_section import FEATURE_KINDS, Features
from almanac.usecase.training_section import Target

ROOT = Path(__file__).resolve().parents[3]
BASE = load(ROOT / "usecases" / "traffic.yaml")
EVENT_KINDS = [name for name, kind in FEATURE_KINDS.items() if isinstance(kind, EventKind)]
TEAMS = ["ANA", "BOS", "CHN", "DET"]
EVENTS = Events.model_validate(
    {
        "known_after": "6h",
        "outcomes": ["home_runs", "away_runs", "margin"],
        "roles": ["home", "away"],
        "entities": [
            {"name": "team", "roles": {"home": "home", "away": "away"}},
            {"name": "park", "column": "park"},
            {"name": "league"},
        ],
        "sides": {
            "scored": {"home": "home_runs", "away": "away_runs"},
            "allowed": {"home": "away_runs", "away": "home_runs"},
        },
    }
)
KNOWN: list[dict[str, Any]] = [
    {"kind": "calendar", "fields": ["hour", "month"]},
    {"kind": "value", "columns": ["odds"]},
    {"kind": "categorical", "columns": ["park"], "encoding": "code"},
    {"kind": "interaction", "name": "odds_by_hour", "operation": "ratio", "left": "odds", "right": "hour"},
]


def number(description: str = "a number") -> Column:
    return Column.model_validate({"type": "float", "description": description, "max_missing": 1.0})


def make_usecase(items: list[dict[str, Any]], cutoff: str = "1h") -> UseCase:
    items = [{"group": "any", **item} for item in items]
    category = {"type": "category", "description": "a name", "max_missing": 1.0}
    return BASE.model_copy(
        update={
            "entity": "home",
            "events": EVENTS,
            "features": Features.model_validate({"cutoff": cutoff, "items": items}),
            "columns": {
                "away": Column.model_validate({**category, "categories": TEAMS}),
                "park": Column.model_validate({**category, "categories": ["P1", "P2"]}),
                **{name: number() for name in ("odds", "home_runs", "away_runs", "margin")},
            },
            "targets": [Target.model_validate({"name": "margin", "column": "margin", "horizon": "6h"})],
        }
    )


@st.composite
def games(draw: st.DrawFn) -> pl.DataFrame:
    """Games in the order of the home team, with missing outcomes, unknown parks, and games that overlap."""
    count = draw(st.integers(1, 40))
    hours = np.cumsum(draw(st.lists(st.sampled_from([0, 1, 3, 24, 2400]), min_size=count, max_size=count)))
    teams = st.sampled_from(TEAMS)
    runs = st.none() | st.integers(0, 12).map(float)
    rows = {}
    for hour in hours.tolist():
        home, away = draw(teams), draw(st.none() | teams)
        mine, theirs = draw(runs), draw(runs)
        rows[home, hour] = {
            "home": home,
            "timestamp": datetime(2015, 4, 1, 18) + timedelta(hours=hour),
            "away": away,
            "park": draw(st.sampled_from(["P1", "P2", "P9", None])),
            "odds": draw(st.none() | st.sampled_from([0.0, -0.0, 1.5, float("inf"), -110.0])),
            "home_runs": mine,
            "away_runs": theirs,
            "margin": None if mine is None or theirs is None else mine - theirs,
        }
    schema = dict.fromkeys(("odds", "home_runs", "away_runs", "margin"), pl.Float64)
    texts = dict.fromkeys(("home", "away", "park"), pl.String)
    frame = pl.DataFrame(list(rows.values()), schema_overrides={**schema, **texts, "timestamp": pl.Datetime("us")})
    return frame.sort("home", "timestamp")


def matrix(spec: FeatureSpec, table: pl.DataFrame) -> npt.NDArray[np.float64]:
    return np.ascontiguousarray(compute(spec, table).select(spec.names).to_numpy())


def same_bits(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return np.asarray((np.isnan(left) & np.isnan(right)) | (left.view(np.int64) == right.view(np.int64)))


def served(spec: FeatureSpec, table: pl.DataFrame, compiled: bool) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Yield rows as a server answers them: it has learned what has ended by then, and is sent no outcome."""
    engine, events = EventEngine(spec, compiled), list(events_of(spec, table))
    order = sorted(range(len(events)), key=lambda row: (events[row].time, events[row].key))
    waiting = list(order)
    hour = 3_600_000_000
    for row in order:
        event = events[row]
        while waiting and events[waiting[0]].time + 6 * hour <= event.time - 1 * hour:
            engine.learn(events[waiting.pop(0)])
        numbers = {name: value for name, value in event.numbers.items() if name not in EVENTS.outcomes}
        yield row, engine.row(replace(event, numbers=numbers))


@pytest.mark.parametrize("kind", EVENT_KINDS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(table=games(), data=st.data())
def test_the_example_of_each_kind_agrees_in_both_engines_and_never_looks_ahead(
    kind: str, table: pl.DataFrame, data: st.DataObject
) -> None:
    usecase = make_usecase([dict(item) for item in FEATURE_KINDS[kind].example])
    spec = FeatureSpec.of(usecase)
    batch = matrix(spec, table)
    for compiled in (True, False):
        for row, found in served(spec, table, compiled):
            assert same_bits(batch[row], found).all(), (compiled, row)
    row = data.draw(st.integers(0, table.height - 1))
    # What is not known an hour before the game: outcomes of games that began less than seven hours before.
    moment = table["timestamp"][row]
    unknown = pl.col("timestamp") + timedelta(hours=7) > moment
    later = pl.col("timestamp") > moment
    changed = table.with_columns(
        *(pl.when(unknown).then(pl.lit(77.0)).otherwise(name).alias(name) for name in EVENTS.outcomes),
        pl.when(later).then(pl.lit("BOS")).otherwise("away").alias("away"),
        pl.when(later).then(pl.lit(9.5)).otherwise("odds").alias("odds"),
    )
    assert same_bits(batch[row], matrix(spec, changed)[row]).all()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(table=games())
def test_kinds_that_read_one_row_serve_events_too_and_an_earlier_time_can_be_asked_for(table: pl.DataFrame) -> None:
    usecase = make_usecase(KNOWN)
    spec = FeatureSpec.of(usecase, {"park": ["P1", "P2"]})
    batch = matrix(spec, table)
    for compiled in (True, False):
        for row, found in served(spec, table, compiled):
            assert same_bits(batch[row], found).all()
    engine, events = EventEngine(spec), list(events_of(spec, table))
    for event in sorted(events, key=lambda one: (one.time, one.key)):
        engine.learn(event)
    for row, event in enumerate(events):
        assert same_bits(batch[row], engine.row(event)).all()


def table_of(*games: tuple[str, int, str, float, float]) -> pl.DataFrame:
    """Games given by home team, hour, away team and runs."""
    rows = [
        {
            "home": home,
            "timestamp": datetime(2015, 4, 1) + timedelta(hours=hour),
            "away": away,
            "park": "P1",
            "odds": 1.5,
            "home_runs": mine,
            "away_runs": theirs,
            "margin": mine - theirs,
        }
        for home, hour, away, mine, theirs in games
    ]
    return pl.DataFrame(rows, schema_overrides={"timestamp": pl.Datetime("us")}).sort("home", "timestamp")


GAMES = table_of(
    ("ANA", 0, "BOS", 5, 3),
    ("BOS", 24, "ANA", 1, 4),
    ("ANA", 27, "DET", 0, 2),
    ("ANA", 34, "BOS", 9, 9),
    ("ANA", 72, "BOS", 2, 1),
)


def features(items: list[dict[str, Any]], **options: str) -> pl.DataFrame:
    return compute(FeatureSpec.of(make_usecase(items, **options)), GAMES).sort("home", "timestamp")


def test_form_has_the_right_values_by_hand() -> None:
    item = {
        "kind": "form",
        "of": "team",
        "columns": ["scored", "allowed"],
        "windows": [2, "30d"],
        "statistics": ["mean", "count", "last"],
        "difference": True,
    }
    found = features([item])
    # Of ANA's games at home: nothing known; 27 h: those of 0 h and of 24 h, which is not known for six hours more;
    # 34 h: those of 0 and 24 h and the one of 27 h, known just then; 72 h: all.
    nan = None
    assert found["home_scored_mean_2"].fill_nan(None).to_list()[:4] == [nan, 5.0, 2.0, 4.5]
    assert found["home_scored_count_30d"].to_list()[:4] == [0.0, 1.0, 3.0, 4.0]
    assert found["home_allowed_last_2"].fill_nan(None).to_list()[:4] == [nan, 3.0, 2.0, 9.0]
    assert found["away_scored_mean_2"].fill_nan(None).to_list()[:4] == [nan, nan, 2.0, 5.0]
    assert found["scored_mean_2_difference"].fill_nan(None).to_list()[2:4] == [0.0, -0.5]


def test_streak_rest_fading_and_elo_have_the_right_values_by_hand() -> None:
    found = features(
        [
            {"kind": "streak", "of": "team", "columns": ["scored"], "above": 3.0},
            {"kind": "rest", "of": "team", "most": 2},
            {"kind": "fading", "of": "team", "columns": ["scored"], "half_lives": [1]},
            {"kind": "elo", "of": "team", "column": "margin", "k": 20.0},
        ]
    ).row(3, named=True)
    # The game at 72 h: ANA scored 5, 4, 0 and 9; the newest is above 3, the one before is not.
    assert found["home_scored_streak"] == 1.0
    assert (found["home_days_since"], found["home_days_between"]) == (38 / 24, 7 / 24)
    assert found["home_scored_fading_1"] == pytest.approx((9 + 0 / 2 + 4 / 4 + 5 / 8) / (1 + 1 / 2 + 1 / 4 + 1 / 8))
    # By the formula of Elo, game by game.
    rating = dict.fromkeys(TEAMS, 1500.0)
    for home, away, won in (("ANA", "BOS", 1), ("BOS", "ANA", 0), ("ANA", "DET", 0), ("ANA", "BOS", 0.5)):
        moved = 20 * (won - 1 / (1 + 10 ** ((rating[away] - rating[home]) / 400)))
        rating[home] += moved
        rating[away] -= moved
    assert found["home_elo"] == pytest.approx(rating["ANA"], abs=1e-9)
    assert found["elo_probability"] == pytest.approx(1 / (1 + 10 ** ((rating["BOS"] - rating["ANA"]) / 400)))


HOME_SCORED = {"kind": "form", "of": "team", "columns": ["scored"], "windows": [2], "statistics": ["mean"]}
LEAGUE = {"kind": "form", "of": "league", "columns": ["more"], "windows": [2, "30d"], "statistics": ["sum", "count"]}


def with_residual(items: list[dict[str, Any]], **residual: Any) -> UseCase:
    more = Residual.model_validate({"column": "home_runs", "feature": "home_scored_mean_2", **residual})
    usecase = make_usecase(items)
    return usecase.model_copy(update={"events": EVENTS.model_copy(update={"residuals": {"more": more}})})


def test_a_residual_is_an_outcome_less_what_was_known_of_it_and_any_entity_has_a_history_of_it() -> None:
    spec = FeatureSpec.of(with_residual([HOME_SCORED, LEAGUE]))
    found = compute(spec, GAMES)
    # By hand, event by event: the home team's own mean of its last two games, as it stood before each.
    events = sorted(events_of(spec, GAMES), key=lambda event: (event.time, event.key))
    said = {(one["home"], one["timestamp"]): one["home_scored_mean_2"] for one in found.iter_rows(named=True)}
    moves: list[tuple[int, float]] = []
    for event in events:
        when = datetime(1970, 1, 1) + timedelta(microseconds=event.time)
        moves.append((event.time, event.numbers["home_runs"] - said[event.texts["home"] or "", when]))
    for event in events:
        when = datetime(1970, 1, 1) + timedelta(microseconds=event.time)
        past = [move for time, move in moves if time + 7 * 3_600_000_000 <= event.time]
        row = found.filter((pl.col("home") == event.key) & (pl.col("timestamp") == when)).row(0, named=True)
        present = [move for move in past if move == move]
        assert row["league_more_count_30d"] == len(present)
        if present:
            assert row["league_more_sum_30d"] == pytest.approx(sum(present), abs=1e-12)
    assert any(move == move for _, move in moves)


def test_a_residual_beyond_its_limit_counts_as_the_limit() -> None:
    free, held = (
        compute(FeatureSpec.of(with_residual([HOME_SCORED, LEAGUE], **limit)), GAMES)["league_more_sum_2"].fill_nan(
            None
        )
        for limit in ({}, {"limit": 0.5})
    )
    assert free.abs().max() > 1.0  # type: ignore[operator]
    assert held.abs().max() <= 1.0  # type: ignore[operator]
    assert held.is_null().to_list() == free.is_null().to_list()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(table=games())
def test_a_server_has_the_bits_of_the_batch_with_residuals(table: pl.DataFrame) -> None:
    spec = FeatureSpec.of(with_residual([HOME_SCORED, LEAGUE], limit=2.5))
    batch = matrix(spec, table)
    for row, values in served(spec, table, True):
        assert same_bits(values, batch[row]).all()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            HOME_SCORED,
            r"events\.residuals\.more\.feature: no kind of events gives away_mean; known: home_scored_mean_2",
        ),
        (
            {**HOME_SCORED, "columns": ["scorde"]},
            r"features\.items\.0 \(form\): no column named scorde; known: allowed",
        ),
    ],
)
def test_a_history_of_nothing_is_refused(item: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        FeatureSpec.of(with_residual([item], feature="away_mean"))


def test_an_outcome_is_the_target_of_its_own_event_and_the_last_value_is_one_known_before() -> None:
    usecase = make_usecase([{"kind": "rest", "of": "team"}])
    found = targets(usecase, FeatureSpec.of(usecase), with_histories(usecase, GAMES))
    assert found["y_margin"].to_list() == [2.0, -2.0, 0.0, 1.0, -3.0]
    assert found["last_margin"].fill_nan(None).to_list() == [None, 2.0, -2.0, 0.0, 2.0]


def test_events_are_learned_once_and_in_order() -> None:
    spec = FeatureSpec.of(make_usecase(KNOWN))
    engine, events = EventEngine(spec), list(events_of(spec, GAMES))
    engine.learn(events[1])
    for event in (events[0], events[1]):
        with pytest.raises(
            FeatureError, match=r"the event ANA of 2015-04-0\dT\S+ does not come after ANA of 2015-04-02"
        ):
            engine.learn(event)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"kind": "lag", "columns": ["odds"], "lags": ["1h"]}, "looks back on the rows of a grid"),
        ({"kind": "value", "columns": ["margin"]}, "no column named margin"),
        ({"kind": "form", "of": "pitcher"}, "no entity named pitcher in events.entities; known: team, park, league"),
        ({"kind": "form", "of": "park", "columns": ["scored"]}, "scored is a side, which park has not"),
        ({"kind": "form", "of": "park", "difference": True}, "difference: park has no two roles"),
        ({"kind": "elo", "of": "park", "column": "margin"}, "of: park has no two roles"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused_by_name(item: dict[str, Any], message: str) -> None:
    if item["kind"] == "form":
        item = {"columns": ["margin"], "windows": [3], "statistics": ["mean"], **item}
    with pytest.raises(FeatureError, match=message):
        FeatureSpec.of(make_usecase([item]))


def test_a_kind_of_events_is_refused_on_a_grid() -> None:
    items = Features.model_validate({"items": [{"group": "any", "kind": "rest", "of": "team"}]})
    with pytest.raises(FeatureError, match="rest is a kind of events; the use case has no section 'events'"):
        FeatureSpec.of(BASE.model_copy(update={"features": items}))
