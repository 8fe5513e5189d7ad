"""The report of an evaluation: headlines, comparison, and a chapter for every target."""

from collections.abc import Iterable, Iterator
from typing import Any

from almanac.evaluation.decisions_report import decisions, has_decisions
from almanac.evaluation.disparity import FEWEST_ROWS
from almanac.evaluation.entities_report import entities
from almanac.evaluation.labels import ahead, label, unit_of
from almanac.evaluation.metrics import ERRORS
from almanac.evaluation.plots import errors, shap
from almanac.evaluation.target_analysis import TargetAnalysis
from almanac.evaluation.target_metrics import BAND
from almanac.reports import (
    Block,
    Contents,
    Details,
    Headline,
    Headlines,
    Note,
    Page,
    Plot,
    Section,
    Table,
    Text,
    format_number,
)
from almanac.reports.zones import zone_sentence
from almanac.usecase import UseCase

_SHOWN = {
    "regression": ("rmse", "mae", "mdape", "mae_log", "r2", "smape", "mase", "bias", "pinball"),
    "classification": ("log_loss", "brier", "ece", "auc", "bias", "base_rate"),
}
_IN_UNITS = ("rmse", "mae", "bias", "pinball", "width")


def report(usecase: UseCase, metrics: dict[str, Any], analyses: list[TargetAnalysis]) -> Page:
    """Return the report.

    Args:
        usecase: the use case.
        metrics: metrics.json.
        analyses: the analysis of each target.
    """
    targets = metrics["targets"]
    rows = max(entry["n"] for entry in targets.values())
    titles = [(name, _title(entry)) for name, entry in targets.items()]
    return Page(
        f"{usecase.title}: forecasts put to the test",
        f"{usecase.description.strip()} Judged on {_span(analyses)}, up to {rows:,} rows a target that no model, "
        "no tuning and no calibration had seen. Brackets hold 95% block-bootstrap intervals. "
        + zone_sentence(usecase.time.zone),
        [
            Headlines([_headline(entry) for entry in targets.values()]),
            Contents([("comparison", "Comparison"), *titles, ("method", "Method")]),
            Section("Comparison with the baselines", _comparison(targets), "comparison"),
            *(_chapter(targets[each.scored.target.name], each) for each in analyses),
            Section("Method", [_method(usecase, metrics["split"])], "method"),
        ],
    )


def _span(analyses: list[TargetAnalysis]) -> str:
    first = min(each.scored.due.min() for each in analyses).astype("datetime64[D]")
    last = max(each.scored.due.max() for each in analyses).astype("datetime64[D]")
    return f"{first} to {last}"


def _headline(entry: dict[str, Any]) -> Headline:
    """Return a target's card; red if its skill against a baseline is not above zero with its whole interval."""
    metric, best = ERRORS[entry["task"]][0], entry["headline"]
    facts = [("95% interval", _brackets(entry["ci"][metric], _digits(entry)))]
    if best["skill"] is not None:
        facts.append((f"Skill over the best baseline, {best['baseline']}", _percent(best["skill"], best["ci"])))
    if coverage := entry.get("coverage"):
        facts.append((f"{coverage['nominal']:.0%} interval holds", _percent(coverage["overall"], coverage["ci"])))
    if entry["task"] == "classification":
        facts.append(("AUC", _with_interval(entry["auc"], entry["ci"]["auc"], 3)))
    facts.append(("Model", str(entry["model"])))
    # An interval that could not be computed shows no skill either.
    lost = any(skill["ci"] is None or skill["ci"][0] <= 0 for skill in entry["skill"].values())
    unit = f"{unit_of(entry)} {label(metric)}".strip()
    return Headline(_title(entry), format_number(entry[metric], _digits(entry)), unit, facts, bad=lost)


def _title(entry: dict[str, Any]) -> str:
    above = f" above {entry['above']:g} {entry['unit'] or ''}".rstrip() if "above" in entry else ""
    return f"{entry['column']}{above}, {ahead(entry['horizon'])}"


def _comparison(targets: dict[str, Any]) -> Iterator[Block]:
    yield Plot(
        errors.overview(targets),
        "Errors of the model and of the baselines; each baseline on the rows where it has a forecast.",
    )
    for task in sorted({entry["task"] for entry in targets.values()}):
        entries = {name: entry for name, entry in targets.items() if entry["task"] == task}
        shown = [metric for metric in _SHOWN[task] if any(entry.get(metric) is not None for entry in entries.values())]
        units = {name: f"({entry['unit']})" if unit_of(entry) else "" for name, entry in entries.items()}
        yield Table(
            ["", *(f"{name} {unit}".strip() for name, unit in units.items())],
            [
                [label(m), *(_with_interval(e[m], e["ci"].get(m), _digits(e, m)) for e in entries.values())]
                for m in shown
            ]
            + _against_baselines(list(entries.values())),
        )
    yield Note(
        "Skill is the share of a baseline's error that the model saves, on the rows where the baseline has a forecast: "
        "persistence repeats the last known value, seasonal the newest known value of the same phase (where the target "
        "lies whole seasons ahead the two are one, called persistence), mean is that of the training span, climatology "
        "that at the same phase, recent mean that of the last season, and drift adds the training span's slope to the "
        "last value. The skill in the headlines and at the gate is the one against the best of them on the rows where "
        "all have a forecast."
    )


def _against_baselines(entries: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the rows of the comparison on baselines and intervals."""
    metric = ERRORS[entries[0]["task"]][0]
    rows: list[list[Any]] = []
    for name in dict.fromkeys(name for entry in entries for name in entry["skill"]):
        theirs = (
            format_number(e["baselines"][name][metric], _digits(e)) if name in e["skill"] else "–" for e in entries
        )
        rows.append([f"{label(metric)} of {name}", *theirs])
        skills = (e["skill"].get(name) for e in entries)
        rows.append([f"Skill against {name}", *(_percent(s[metric], s["ci"]) if s else "–" for s in skills)])
    best = (
        f"{_percent(e['headline']['skill'], e['headline']['ci'])} {e['headline']['baseline'] or ''}" for e in entries
    )
    rows.append(["Skill against the best baseline", *best])
    if all("coverage" in entry for entry in entries):
        coverages = [entry["coverage"] for entry in entries]
        rows.append(["Interval coverage", *(_percent(c["overall"], c["ci"]) for c in coverages)])
        rows.append(["Interval width", *(_with_interval(c["width"], c["width_ci"], 1) for c in coverages)])
    return rows


def _chapter(entry: dict[str, Any], analysis: TargetAnalysis) -> Section:
    scored, unit = analysis.scored, unit_of(entry)
    weeks = Plot(errors.weeks(scored, unit), "Measured values, forecasts made the horizon before, and the interval.")
    calibration = Plot(
        errors.calibration(entry, analysis.calibration),
        "Dots with 95% intervals: share of measured values inside the interval; dashed: what was asked for."
        if entry.get("coverage")
        else "Observed frequency by forecast probability; dashed: perfect calibration.",
    )
    parts: dict[str, Iterable[Block]] = {
        "Forecast against truth": [weeks],
        "Calibration": [calibration],
        "Where the errors are": _errors(entry, analysis, unit),
        **({"Entities": entities(entry)} if "entities" in entry else {}),
        "What the model goes by": _explanations(analysis, unit),
        "How the model was chosen": _candidates(analysis.tuning),
    }
    if has_decisions(entry):
        parts["What decisions by price would have come to"] = decisions(entry)
    name = scored.target.name
    # Every chapter has the same parts, and the anchors of a page must differ.
    sections = (Section(title, blocks, f"{name}-{number}") for number, (title, blocks) in enumerate(parts.items()))
    return Section(_title(entry), sections, name)


def _errors(entry: dict[str, Any], analysis: TargetAnalysis, unit: str) -> Iterator[Block]:
    if (figure := errors.slices(entry, BAND)) is not None:
        yield Plot(figure, "Error by the declared groups, with 95% block-bootstrap intervals.")
    yield Plot(
        errors.residuals(analysis.scored, analysis.weeks, analysis.residuals, unit, analysis.categories),
        "Forecast less truth: above zero the forecast is too high.",
    )
    days = analysis.worst_days
    share = sum(day["share"] for day in days)
    worst = Table(
        ["Day", "Rows", f"Mean truth {unit}", "Mean forecast", "RMSE", "Share of squared error"],
        [[d["day"], d["n"], d["truth"], d["forecast"], d["rmse"], f"{d['share']:.1%}"] for d in days],
        # Probabilities and small quantities would all be 0.0 otherwise.
        digits=1 if max(day["truth"] for day in days) >= 10 else 3,
    )
    yield Details(f"The {len(days)} worst days hold {share:.0%} of all squared error", [worst])
    yield Details("Every group in figures", _groups(entry))


def _groups(entry: dict[str, Any]) -> Iterator[Block]:
    first = next(iter(entry["slices"][BAND].values()))
    metrics = [metric for metric in (*ERRORS[entry["task"]], "bias", "coverage") if metric in first]
    yield Table(
        ["Group", "Rows", *map(label, metrics)],
        [
            [
                f"{group}: {value}",
                part["n"],
                *(_with_interval(part[m], part["ci"][m], _digits(entry, m)) for m in metrics),
            ]
            for group, values in entry["slices"].items()
            for value, part in values.items()
        ],
    )
    yield Table(
        ["Disparity", "Figure", "Best group", "Worst group", "Difference", "Ratio"],
        [
            [group, label(metric), each["best"], each["worst"], each["difference"], each["ratio"]]
            for group, disparities in entry["disparity"].items()
            for metric, each in disparities.items()
        ],
    )


def _explanations(analysis: TargetAnalysis, unit: str) -> Iterator[Block]:
    if analysis.explained is None:
        yield Note("The model is not one that can be explained feature by feature.")
        return
    shares = ", ".join(f"{share:.0%} {group}" for group, share in analysis.groups.items()).capitalize()
    yield Plot(
        shap.importance(analysis.explained, analysis.scored, unit, analysis.categories),
        f"Exact SHAP values of {analysis.explained.rows.size:,} random rows: how far each feature moves the forecast. "
        + shares,
    )
    yield Plot(
        shap.local(analysis.local, unit, analysis.categories),
        "Three forecasts taken apart: red raises the forecast, teal lowers it.",
    )


def _candidates(tuning: dict[str, Any]) -> Iterator[Block]:
    if not tuning:
        return
    folds = len(next(iter(tuning["candidates"].values()))["folds"])
    records = tuning["candidates"] | tuning.get("baselines", {})
    rows = [
        [name, record["loss"], *record["folds"], record.get("bias"), "chosen" if name == tuning.get("chosen") else ""]
        for name, record in records.items()
    ]
    header = ["Candidate", f"Mean {label(str(tuning.get('metric', 'loss')))}"]
    header += [*(f"Fold {number + 1}" for number in range(folds)), "Bias", ""]
    yield Table(header, sorted(rows, key=lambda row: row[1]), digits=3)
    yield Note(
        f"Expanding-window folds before the test span, {tuning.get('rows_compared', 0):,} rows compared; "
        f"{sum(len(target['trials']) for target in tuning.get('trials', {}).values())} trials. "
        f"Chosen by: {tuning.get('rule', 'not recorded')}."
    )


def _method(usecase: UseCase, split: dict[str, Any]) -> Text:
    settings = usecase.evaluation
    return Text(
        f"The test span begins {split['test_from']}; training ended at least the longest horizon before. Every "
        "row of the span where the target was really measured counts, and no target was imputed. Intervals are "
        f"percentiles of {settings.repeats} moving-block bootstrap repeats with blocks of {settings.block}. MASE is "
        "the MAE over that of the seasonal baseline before the test span; sMAPE lies between 0 and 2. Bands are those "
        "of the last value known at prediction time; rows where it is missing are the group unknown, as are those "
        "of no group in every other grouping, so that groups add up to all rows. Disparities are fairlearn's, over "
        f"groups of at least {FEWEST_ROWS} rows; that of the bias is the largest group bias less the smallest."
    )


def _digits(entry: dict[str, Any], metric: str = "rmse") -> int:
    if entry["task"] == "classification" or metric not in _IN_UNITS:
        return 3
    return 2 if entry["rmse"] < 100 else 1


def _with_interval(value: float | None, interval: list[float] | None, digits: int) -> str:
    return f"{format_number(value, digits)} {_brackets(interval, digits)}".strip()


def _brackets(interval: list[float] | None, digits: int) -> str:
    return "" if interval is None else f"[{format_number(interval[0], digits)}, {format_number(interval[1], digits)}]"


def _percent(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" + ("" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]")
