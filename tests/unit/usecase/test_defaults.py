"""Defaults: name, time, sources and targets make a whole use case."""

import json
from typing import Any

import pytest
import yaml

from almanac.core.errors import UseCaseError
from almanac.core.files import pretty_json
from almanac.usecase import dump, load_text, schema
from tests.support import small

MINIMAL: dict[str, Any] = {
    "name": "demand",
    "time": {"frequency": "1h"},
    "sources": [{"name": "table", "type": "file", "path": "t.csv"}],
    "targets": [{"column": "load"}],
}


def test_four_fields_make_a_use_case_and_everything_else_has_a_default() -> None:
    case = load_text(yaml.safe_dump(MINIMAL), "demand.yaml")
    assert (case.title, case.targets[0].name, case.targets[0].horizon) == ("Demand", "load_1h", "1h")
    assert (list(case.columns), case.sources[0].read.others) == (["load"], "drop")
    assert (case.evaluation.season, case.split.test, case.governance.owner) == ("1d", "last 60d", "not stated")
    assert [candidate.kind for candidate in case.training.candidates] == ["lightgbm", "linear", "blend"]
    # What a component gets is the same use case, not the defaults of the defaults.
    assert load_text(dump(case), "demand.json") == case


@pytest.mark.parametrize(("frequency", "season", "test"), [("5min", "1d", "last 14d"), ("1d", "7d", "last 365d")])
def test_defaults_follow_from_the_step(frequency: str, season: str, test: str) -> None:
    case = load_text(json.dumps(MINIMAL | {"time": {"frequency": frequency}}), "demand.json")
    assert (case.evaluation.season, case.split.test) == (season, test)


def test_two_targets_of_one_column_share_their_features() -> None:
    targets = [{"column": "load", "horizon": horizon} for horizon in ("1h", "6h")]
    case = load_text(json.dumps(MINIMAL | {"targets": targets}), "demand.json")
    assert [target.name for target in case.targets] == ["load_1h", "load_6h"]
    alone = load_text(json.dumps(MINIMAL), "demand.json")
    assert [item.kind for item in case.features.items] == [item.kind for item in alone.features.items]


@pytest.mark.parametrize("field", ["name", "time", "sources", "targets"])
def test_a_mandatory_field_is_named(field: str) -> None:
    with pytest.raises(UseCaseError, match=f"demand: {field}: is missing; it is required"):
        load_text(json.dumps({key: value for key, value in MINIMAL.items() if key != field}), "demand")


def test_the_schema_asks_for_no_more() -> None:
    assert schema()["required"] == ["name", "time", "sources", "targets"]
    assert schema()["$defs"]["Target"]["required"] == ["column"]


def test_days_that_are_only_counted_have_no_season_of_drift() -> None:
    counted = {"column": "timestamp", "frequency": "1h", "origin": "1970-01-01"}
    assert small.usecase(time=counted).drift.season == "none"
    assert small.usecase(time=counted, drift={"window": "7d"}).drift.season == "none"
    assert small.usecase().drift.season == "month"
    with pytest.raises(UseCaseError, match=r"drift.season: times counted from time.origin have no month; write none"):
        small.usecase(time=counted, drift={"season": "month"})


def test_a_season_on_open_days_is_a_week_of_them() -> None:
    def season(calendar: object) -> str:
        left = {key: value for key, value in small.data().items() if key not in ("evaluation", "features")}
        time = {"column": "timestamp", "frequency": "1d", "calendar": calendar}
        targets = [{"name": "load_1d", "column": "load", "horizon": "1d"}]
        return load_text(pretty_json(left | {"time": time, "targets": targets}), "small").evaluation.season

    assert season("weekdays") == season({"exchange": "XNYS"}) == "5d"
    assert season({"weekdays": ["mon", "tue", "wed", "thu", "fri", "sat"], "country": "DE"}) == "6d"
    assert season(None) == "7d"
