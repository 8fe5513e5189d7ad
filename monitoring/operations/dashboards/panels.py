"""Panels and boards of the dashboards."""

from dataclasses import dataclass, field
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

from monitoring.operations.dashboards.variables import VARIABLES, options, scoped, title

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH = {"graph": 12, "stat": 6}
_HEIGHT = {"graph": 8, "stat": 4}


def newest(metric: str, *by: str, prefix: str = "", also: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the query of a gauge by some labels, under a legend of their values.

    Args:
        metric: the gauge.
        by: labels that the legend shows.
        prefix: of the legend.
        also: labels that are kept apart without being shown, before the others.
    """
    return {_legend(prefix, by): f"max by ({', '.join((*also, *by))}) ({metric})"}


def age(metric: str, *by: str) -> dict[str, str]:
    """Return the query of the seconds since a timestamp, by some labels."""
    return {_legend("", by): f"time() - max by ({', '.join(by)}) ({metric})"}


def rate(counter: str, *by: str, prefix: str = "") -> dict[str, str]:
    """Return the query of a counter's rate by some labels, under a legend of their values."""
    return {_legend(prefix, by): f"sum by ({', '.join(by)}) (rate({counter}[5m]))"}


def highest(metric: str, *by: str) -> dict[str, str]:
    """Return the query of the ten highest series of a gauge."""
    return {_legend("", by): f"topk(10, max by ({', '.join(by)}) ({metric}))"}


def _legend(prefix: str, labels: tuple[str, ...]) -> str:
    return " ".join([*([prefix] if prefix else []), *(f"{{{{{label}}}}}" for label in labels)])


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: of the panel.
        queries: legend -> PromQL without the variables; a legend may name labels as {{label}}.
        unit: Grafana's unit id, such as s, percentunit, reqps, bytes or short.
        help: how to read it.
        kind: graph over time, or the newest value.
        bad_above: value from which it is shown red, None for none.
        bad_below: value below which it is shown red, None for none.
        variables: whether it shows what the variables choose.
    """

    title: str
    queries: dict[str, str]
    unit: str = "short"
    help: str = ""
    kind: Literal["graph", "stat"] = "graph"
    bad_above: float | None = None
    bad_below: float | None = None
    variables: bool = True

    def build(self) -> Any:
        """Return the builder of Grafana's panel."""
        panel = _graph() if self.kind == "graph" else _stat()
        panel = panel.title(self.title).description(self.help).datasource(DATASOURCE).unit(self.unit)
        panel = panel.span(_WIDTH[self.kind]).height(_HEIGHT[self.kind]).thresholds(self._thresholds())
        for at, (legend, query) in enumerate(self.queries.items()):
            panel = panel.with_target(self._target(query, legend, "ABCDEFGH"[at]))
        return panel

    def _target(self, query: str, legend: str, ref: str) -> Any:
        target = (
            prometheus.Dataquery()
            .expr(scoped(query) if self.variables else query)
            .legend_format(legend)
            .ref_id(ref)
            .datasource(DATASOURCE)
        )
        return target.instant() if self.kind == "stat" else target.range()

    def _thresholds(self) -> Any:
        steps = [Threshold(value=None, color="green")]
        if self.bad_above is not None:
            steps.append(Threshold(value=self.bad_above, color="red"))
        if self.bad_below is not None:
            steps = [Threshold(value=None, color="red"), Threshold(value=self.bad_below, color="green")]
        return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


@dataclass(frozen=True)
class Board:
    """One dashboard.

    Attributes:
        name: of its file, and its uid.
        title: as Grafana lists it.
        help: purpose of the board.
        rows: title of a row -> its panels.
        span: time span that it opens with.
        without_model: whether it shows series that are of no model, such as refused requests; choosing all models then
            means these too.
    """

    name: str
    title: str
    help: str
    rows: dict[str, list[Panel]] = field(default_factory=dict)
    span: str = "now-6h"
    without_model: bool = False

    @property
    def panels(self) -> list[Panel]:
        """All panels, in order."""
        return [panel for row in self.rows.values() for panel in row]

    def build(self) -> Any:
        """Return Grafana's dashboard."""
        board = (
            dashboard.Dashboard(f"Almanac / {self.title}")
            .uid(f"almanac-{self.name}")
            .description(self.help)
            .tags(["almanac"])
            .timezone("utc")
            .time(self.span, "now")
            .refresh("30s")
            .readonly()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .link(dashboard.DashboardLink("Almanac").type(DashboardLinkType.DASHBOARDS).tags(["almanac"]))
            .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        )
        for variable in VARIABLES:
            board = board.with_variable(self._variable(variable))
        for heading, panels in self.rows.items():
            board = board.with_row(dashboard.Row(heading))
            for panel in panels:
                board = board.with_panel(panel.build())
        return board.build()

    def _variable(self, name: str) -> Any:
        variable = dashboard.QueryVariable(name).label(title(name)).datasource(DATASOURCE).query(options(name))
        everything = VariableOption(selected=True, text="All", value="$__all")
        variable = variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True)
        variable = variable.current(everything)
        return variable.all_value(".*") if self.without_model else variable


def _graph() -> Any:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = timeseries.Panel().legend(legend.show_legend(True)).line_width(1).fill_opacity(8)
    return panel.show_points(VisibilityMode.NEVER)


def _stat() -> Any:
    panel = stat.Panel().graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.VALUE)
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
