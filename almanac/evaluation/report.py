"""The report of an evaluation: headlines, comparison, and a chapter for every target."""

from typing import Any

from almanac.evaluation import plots, shap_plots
from almanac.evaluation.evidence import Evidence
from almanac.evaluation.plots import ahead, errors_in, label
from almanac.evaluation.target_metrics import BAND
from almanac.reports.page import Card, Report, number
from almanac.usecase import UseCase

_SHOWN = {
    "regression": ("rmse", "mae", "r2", "smape", "mase", "bias", "pinball"),
    "classification": ("log_loss", "brier", "auc", "bias", "base_rate"),
}
_IN_UNITS = ("rmse", "mae", "bias", "pinball")


def build(usecase: UseCase, metrics: dict[str, Any], evidence: list[Evidence]) -> Report:
    """Return the report.

    Args:
        usecase: the use case.
        metrics: metrics.json.
        evidence: what each target was judged by.
    """
    targets = metrics["targets"]
    rows = max(entry["n"] for entry in targets.values())
    report = Report(
        f"{usecase.title}: forecasts put to the test",
        f"{usecase.description.strip()} Judged on {_span(evidence)}, up to {rows:,} rows a target that no model, "
        "no tuning and no calibration had seen. Brackets hold 95% block-bootstrap intervals.",
    )
    report.cards([_headline(entry) for entry in targets.values()])
    report.contents(
        [
            ("comparison", "Comparison"),
            *((name, _title(e)) for name, e in targets.items()),
            ("method", "Method"),
        ]
    )
    _comparison(report, targets)
    for each in evidence:
        _chapter(report, targets[each.judged.target.name], each)
    _method(report, usecase)
    return report


def _span(evidence: list[Evidence]) -> str:
    first = min(each.judged.due.min() for each in evidence).astype("datetime64[D]")
    last = max(each.judged.due.max() for each in evidence).astype("datetime64[D]")
    return f"{first} to {last}"


def _headline(entry: dict[str, Any]) -> Card:
    """Return a target's card; red where its skill against a baseline is not above zero with its whole interval."""
    metric = errors_in(entry)[0]
    skills = {name: skill for name, skill in entry["skill"].items() if skill[metric] is not None}
    facts = [(f"Skill over {name}", _percent(skill[metric], skill["ci"])) for name, skill in skills.items()]
    if coverage := entry.get("coverage"):
        facts.append((f"{coverage['nominal']:.0%} interval holds", _percent(coverage["overall"], coverage["ci"])))
    if entry["task"] == "classification":
        facts.append(("AUC", _with_span(entry["auc"], entry["ci"]["auc"], 3)))
    facts.append(("Model", str(entry["model"])))
    lost = any(skill["ci"] is None or skill["ci"][0] <= 0 for skill in entry["skill"].values())
    facts.insert(0, ("95% interval", _brackets(entry["ci"][metric], _digits(entry))))
    unit = f"{_unit(entry)} {label(metric)}".strip()
    return Card(_title(entry), number(entry[metric], _digits(entry)), unit, facts, bad=lost)


def _title(entry: dict[str, Any]) -> str:
    above = f" above {entry['above']:g} {entry['unit'] or ''}".rstrip() if "above" in entry else ""
    return f"{entry['column']}{above}, {ahead(entry['horizon'])}"


def _comparison(report: Report, targets: dict[str, Any]) -> None:
    report.heading("Comparison with the baselines", anchor="comparison")
    report.plot(
        plots.overview(targets),
        "Errors of the model and of the baselines; each baseline on the rows where it has a forecast.",
    )
    kinds = {entry["task"] for entry in targets.values()}
    for kind in sorted(kinds):
        entries = {name: entry for name, entry in targets.items() if entry["task"] == kind}
        shown = [metric for metric in _SHOWN[kind] if any(entry.get(metric) is not None for entry in entries.values())]
        head = ["", *(f"{name} {_brackets_unit(entry)}".strip() for name, entry in entries.items())]
        body = [[label(m), *(_with_span(e[m], e["ci"].get(m), _digits(e, m)) for e in entries.values())] for m in shown]
        report.table(head, body + _against(entries))
    report.text(
        "Skill is the share of a baseline's error that the model saves, on the rows where the baseline has a forecast: "
        "persistence repeats the last known value, seasonal the newest known value of the same phase.",
        "note",
    )


def _against(entries: dict[str, Any]) -> list[list[Any]]:
    """Return the rows of the comparison that are about baselines and intervals."""
    every = list(entries.values())
    metric = errors_in(every[0])[0]
    rows: list[list[Any]] = []
    for name in every[0]["skill"]:
        rows.append([f"{label(metric)} of {name}", *(number(e["baselines"][name][metric], _digits(e)) for e in every)])
        rows.append(
            [f"Skill against {name}", *(_percent(e["skill"][name][metric], e["skill"][name]["ci"]) for e in every)]
        )
    if all("coverage" in entry for entry in every):
        found = [entry["coverage"] for entry in every]
        rows.append(["Interval coverage", *(_percent(c["overall"], c["ci"]) for c in found)])
        rows.append(["Interval width", *(_with_span(c["width"], c["width_ci"], 1) for c in found)])
    return rows


def _chapter(report: Report, entry: dict[str, Any], evidence: Evidence) -> None:
    judged, unit = evidence.judged, _unit(entry)
    report.heading(_title(entry), anchor=judged.target.name)
    report.heading("Forecast against truth", 3)
    report.plot(plots.weeks(judged, unit), "Measured values, forecasts made the horizon before, and the interval.")
    report.heading("Calibration", 3)
    report.plot(
        plots.calibration(entry, evidence.calibration),
        "Dots with 95% intervals: share of measured values inside the interval; dashed: what was asked for."
        if entry.get("coverage")
        else "Observed frequency by forecast probability; dashed: perfect calibration.",
    )
    report.heading("Where the errors are", 3)
    if (figure := plots.slices(entry, BAND)) is not None:
        report.plot(figure, "Error by the declared groups, with 95% block-bootstrap intervals.")
    report.plot(
        plots.residuals(judged, evidence.weeks, evidence.residuals, unit, evidence.categories),
        "Forecast less truth: above zero the forecast is too high.",
    )
    _worst_days(report, evidence, unit)
    _groups(report, entry)
    report.heading("What the model goes by", 3)
    report.plot(
        shap_plots.importance(evidence.explained, judged, unit, evidence.categories),
        f"Exact SHAP values of {evidence.explained.rows.size:,} random rows: how far each feature moves the forecast. "
        + _shares(evidence),
    )
    report.plot(
        shap_plots.local(evidence.local, unit, evidence.categories),
        "Three forecasts taken apart: red raises the forecast, teal lowers it.",
    )
    _candidates(report, evidence.tuning)


def _shares(evidence: Evidence) -> str:
    return ", ".join(f"{share:.0%} {group}" for group, share in evidence.groups.items()).capitalize()


def _worst_days(report: Report, evidence: Evidence, unit: str) -> None:
    days = evidence.worst_days
    share = sum(day["share"] for day in days)
    with report.folded(f"The {len(days)} worst days hold {share:.0%} of all squared error"):
        report.table(
            ["Day", "Rows", f"Mean truth {unit}", "Mean forecast", "RMSE", "Share of squared error"],
            [[d["day"], d["n"], d["truth"], d["forecast"], d["rmse"], f"{d['share']:.1%}"] for d in days],
            digits=1 if max(day["truth"] for day in days) >= 10 else 3,
        )


def _groups(report: Report, entry: dict[str, Any]) -> None:
    first = next(iter(entry["slices"][BAND].values()))
    metrics = [metric for metric in (*errors_in(entry), "bias", "coverage") if metric in first]
    rows = [
        [f"{group}: {value}", part["n"], *(_with_span(part[m], part["ci"][m], _digits(entry, m)) for m in metrics)]
        for group, values in entry["slices"].items()
        for value, part in values.items()
    ]
    compared = [
        [group, label(metric), found["best"], found["worst"], found["difference"], found["ratio"]]
        for group, figures in entry["disparity"].items()
        for metric, found in figures.items()
    ]
    with report.folded("Every group in figures"):
        report.table(["Group", "Rows", *map(label, metrics)], rows)
        report.table(["Disparity", "Figure", "Best group", "Worst group", "Difference", "Ratio"], compared)


def _candidates(report: Report, tuning: dict[str, Any]) -> None:
    if not tuning:
        return
    report.heading("How the model was chosen", 3)
    folds = len(next(iter(tuning["candidates"].values()))["folds"])
    rows = [_candidate(name, found, name == tuning.get("chosen")) for name, found in tuning["candidates"].items()]
    rows += [_candidate(name, found, False) for name, found in tuning.get("baselines", {}).items()]
    header = [
        "Candidate",
        f"Mean {label(str(tuning.get('metric', 'loss')))}",
        *(f"Fold {k + 1}" for k in range(folds)),
        "",
    ]
    report.table(header, sorted(rows, key=lambda row: row[1]), digits=3)
    report.text(
        f"Expanding-window folds before the test span, {tuning.get('rows_compared', 0):,} rows compared; "
        f"{sum(len(t['trials']) for t in tuning.get('trials', {}).values())} trials.",
        "note",
    )


def _candidate(name: str, found: dict[str, Any], chosen: bool) -> list[Any]:
    return [name, found["loss"], *found["folds"], "chosen" if chosen else ""]


def _method(report: Report, usecase: UseCase) -> None:
    settings = usecase.evaluation
    report.heading("Method", anchor="method")
    report.text(
        f"The test span begins {usecase.split.test_from}; training ended at least the longest horizon before. Every "
        "row of the span where the target was really measured counts, and no target was imputed. Intervals are "
        f"percentiles of {settings.repeats} moving-block bootstrap repeats with blocks of {settings.block}. MASE is "
        "the MAE over that of the seasonal baseline before the test span; sMAPE lies between 0 and 2. Bands are those "
        "of the last value known at prediction time; rows where it is missing count everywhere but in the bands. "
        "Disparities are fairlearn's, over groups of at least 30 rows."
    )


def _digits(entry: dict[str, Any], metric: str = "rmse") -> int:
    if entry["task"] == "classification" or metric not in (*_IN_UNITS, "width"):
        return 3
    return 2 if entry["rmse"] < 100 else 1


def _unit(entry: dict[str, Any]) -> str:
    return "" if entry["task"] == "classification" else str(entry["unit"] or "")


def _brackets_unit(entry: dict[str, Any]) -> str:
    return f"({entry['unit']})" if _unit(entry) else ""


def _with_span(value: float | None, span: list[float] | None, digits: int) -> str:
    return f"{number(value, digits)} {_brackets(span, digits)}".strip()


def _brackets(span: list[float] | None, digits: int) -> str:
    return "" if span is None else f"[{number(span[0], digits)}, {number(span[1], digits)}]"


def _percent(value: float | None, span: list[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" + ("" if span is None else f" [{100 * span[0]:.1f}, {100 * span[1]:.1f}]")
