"""Dashboards against the metrics that they show: variables, and units."""

import json
import re
from typing import Any

import pytest

from monitoring import metrics
from monitoring.operations.dashboards import boards
from monitoring.operations.dashboards.panels import Panel
from monitoring.operations.dashboards.variables import RECORDED, VARIABLES, scoped
from tests.support.live import ROOT, recordings
from tests.support.promql import Query, Unit, of_metric

PANELS = {f"{board.name}: {panel.title}": panel for board in boards() for panel in board.panels}
_REQUESTS = {"almanac_requests_total", "almanac_rate_limited_total", "almanac_unauthenticated_total"}


def shown_as(unit: Unit) -> set[str]:
    """The units of Grafana that a unit can be shown in."""
    if unit.kind == "a second":
        rows = all(name.endswith("_rows_total") for name in unit.of)
        return {"reqps"} if unit.of <= _REQUESTS else {"rowsps"} if rows else {"ops"}
    fitting = {
        "number": "short", "ratio": "percentunit", "seconds": "s", "bytes": "bytes",
        "milliseconds of a date": "dateTimeAsIso",
    }  # fmt: skip
    return {fitting[unit.kind]}


@pytest.mark.parametrize("name", sorted(PANELS))
def test_the_unit_of_a_panel_is_that_of_its_queries(name: str) -> None:
    panel = PANELS[name]
    for query in panel.queries.values():
        unit = Query(query, recordings()).unit()
        # A burn rate is a ratio over the budget: times, and no share.
        expected = {"short"} if query.endswith("/ 0.001") else shown_as(unit)
        assert panel.unit in expected, f"{query} is {unit.kind}"


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("time() - max by (m) (almanac_model_trained_timestamp_seconds)", "seconds"),
        ("1000 * max(almanac_data_newest_timestamp_seconds)", "milliseconds of a date"),
        ("sum(rate(almanac_cpu_seconds_total[5m])) / (sum(rate(almanac_requests_total[5m])) > 0)", "seconds"),
        ("histogram_quantile(0.99, sum by (le) (rate(almanac_request_duration_seconds_bucket[5m])))", "seconds"),
        ("rate(almanac_cpu_seconds_total[5m])", "number"),
        ("rate(almanac_requests_total{code=~\"5..\"}[5m])", "a second"),
        ("almanac:request_errors:ratio1h", "ratio"),
        ("almanac_resident_memory_bytes", "bytes"),
        ("sum(increase(almanac_feedback_total[1d])) / sum(increase(almanac_predicted_rows_total[1d]))", "ratio"),
    ],
)  # fmt: skip
def test_units_follow_from_names_and_functions(query: str, kind: str) -> None:
    assert Query(query, recordings()).unit().kind == kind


def test_a_sum_of_different_units_is_seen() -> None:
    with pytest.raises(AssertionError):
        Query("almanac_resident_memory_bytes + almanac_data_age_seconds", {}).unit()


def test_the_help_of_a_metric_names_no_other_unit() -> None:
    for metric in metrics.ALL:
        kind = of_metric(metric.series[0]).kind
        assert ("Share" in metric.help) <= (kind == "ratio"), metric.name


def document(name: str) -> dict[str, Any]:
    """A committed dashboard."""
    found: dict[str, Any] = json.loads((ROOT / "monitoring" / "dashboards" / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("board", [board.name for board in boards()])
def test_every_board_has_the_variables_and_uses_them(board: str) -> None:
    variables = {variable["name"]: variable for variable in document(board)["templating"]["list"]}
    assert list(variables) == ["datasource", *VARIABLES]
    for before, name in enumerate(VARIABLES):
        variable = variables[name]
        assert variable["multi"] and variable["includeAll"]
        assert variable["query"].endswith(f", {name})")
        assert re.findall(r"\$(\w+)", variable["query"]) == list(VARIABLES[:before])
        assert variable["current"]["value"] == "$__all"
    used = {name for text in expressions(board) for name in re.findall(r"=~\"\$(\w+)\"", text)}
    assert used <= set(VARIABLES)
    assert "model" in used


def expressions(board: str) -> list[str]:
    """The queries of a committed dashboard."""
    return [target["expr"] for panel in document(board)["panels"] for target in panel.get("targets", [])]


def test_each_series_is_chosen_by_the_variables_that_are_its_labels() -> None:
    chosen = [panel for panel in PANELS.values() if panel.variables]
    for query in (query for panel in chosen for query in panel.queries.values()):
        for metric in metrics.ALL:
            for series in metric.series:
                for matchers in re.findall(rf"\b{series}\b(\{{[^}}]*\}})?", scoped(query)):
                    for name in VARIABLES:
                        assert (f'{name}=~"${name}"' in matchers) == (name in metric.labels), f"{query}: {series}"


def test_the_labels_of_recorded_series_are_those_of_their_rules() -> None:
    """A rule keeps a label where it groups by it, or takes it over from the series that it divides by."""
    for name, expression in recordings().items():
        kept = {
            label for part in re.findall(r"(?:by|group_left) \(([^)]*)\)", expression) for label in part.split(", ")
        }
        if not kept:
            kept = {label for other, labels in RECORDED.items() if other in expression for label in labels}
        assert set(RECORDED.get(name, ())) == kept & set(VARIABLES), name


def test_what_is_already_matched_is_kept() -> None:
    assert scoped('rate(almanac_requests_total{verb="infer"}[5m]) / almanac:drift_score:max') == (
        'rate(almanac_requests_total{verb="infer",model=~"$model",version=~"$version"}[5m]) / '
        'almanac:drift_score:max{model=~"$model"}'
    )
    assert scoped('up{job="almanac-server"}') == 'up{job="almanac-server"}'
    assert Panel("p", {"": "almanac_processes"}).variables
