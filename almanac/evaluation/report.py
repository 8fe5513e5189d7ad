"""The report of an evaluation: headlines, comparison, and a chapter for every target."""

from collections.abc import Iterable, Iterator
from typing import Any

from almanac.evaluation.comparison_report import comparison
from almanac.evaluation.decisions_report import decisions, has_decisions
from almanac.evaluation.disparity import FEWEST_ROWS
from almanac.evaluation.entities_report import entities
from almanac.evaluation.groups import largest
from almanac.evaluation.interval_text import brackets, digits, percent, with_interval
from almanac.evaluation.labels import label, series_of, unit_of
from almanac.evaluation.metrics import ERRORS
from almanac.evaluation.plots import errors, shap
from almanac.evaluation.steps_report import steps
from almanac.evaluation.target_analysis import TargetAnalysis
from almanac.evaluation.target_metrics import BAND
from almanac.evaluation.verdict import advice, title_of, verdict
from almanac.reports import (
    Block,
    Bullets,
    Callout,
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
    Times,
    format_number,
)
from almanac.usecase import UseCase

#: Rows of each grouping that are worth reading.
_GROUPS = 40


def report(usecase: UseCase, metrics: dict[str, Any], analyses: list[TargetAnalysis]) -> Page:
    """Return the report.

    Args:
        usecase: the use case.
        metrics: metrics.json.
        analyses: the analysis of each target.
    """
    targets, events = metrics["targets"], usecase.events is not None
    times = Times.of(usecase)
    titles = [(name, title_of(entry, events)) for name, entry in targets.items()]
    tone, sentence = verdict(targets, events)
    return Page(
        f"{usecase.title}: forecasts put to the test",
        usecase.description.strip(),
        [
            Callout(sentence, tone),
            Headlines([_headline(entry, events) for entry in targets.values()]),
            Section("What to do", [Bullets(advice(targets, events))], "advice"),
            Note(_ground(usecase, targets, analyses, times)),
            Contents([("comparison", "Comparison"), *titles, ("method", "Method")]),
            Section("Comparison with the baselines", comparison(targets, events), "comparison"),
            *(_chapter(targets[each.scored.target.name], each, events, times) for each in analyses),
            Section("Method", [_method(usecase, metrics["split"], times)], "method"),
        ],
    )


def _ground(usecase: UseCase, targets: dict[str, Any], analyses: list[TargetAnalysis], times: Times) -> str:
    """Return the sentences on the rows, intervals and zone of the report."""
    rows = max(entry["n"] for entry in targets.values())
    keys = analyses[0].scored.keys
    of = "" if usecase.entity is None else f" of {series_of(usecase.entity, keys[usecase.entity].n_unique())}"
    return (
        f"Judged on {_span(analyses, times)}, up to {rows:,} rows a target{of} that no model, no tuning and no "
        f"calibration had seen. Brackets hold 95% block-bootstrap intervals. {times.sentence}"
    )


def _span(analyses: list[TargetAnalysis], times: Times) -> str:
    first = min(each.scored.due.min() for each in analyses).astype("datetime64[D]")
    last = max(each.scored.due.max() for each in analyses).astype("datetime64[D]")
    return f"{times.day(str(first))} to {times.day(str(last))}"


def _headline(entry: dict[str, Any], events: bool) -> Headline:
    """Return a target's card; red if its skill against a baseline is not above zero with its whole interval."""
    best = entry["headline"]
    metric, places = best["metric"], digits(entry, best["metric"])
    facts = [("95% interval", brackets(entry["ci"][metric], places))]
    if best["skill"] is not None:
        error = format_number(best["error"], places)
        facts.append(("Best baseline", f"{best['baseline'].replace('_', ' ')} {error}"))
        facts.append(("Skill over it", percent(best["skill"], best["ci"])))
    if coverage := entry.get("coverage"):
        facts.append((f"{coverage['nominal']:.0%} interval holds", percent(coverage["overall"], coverage["ci"])))
    if entry["task"] == "classification":
        facts.append(("AUC", with_interval(entry["auc"], entry["ci"]["auc"], 3)))
    facts.append(("Model", str(entry["model"])))
    # An interval that could not be computed shows no skill either.
    intervals = [skill["cis"][metric] for skill in entry["skill"].values()]
    lost = any(ci is None or ci[0] <= 0 for ci in intervals)
    unit = label(metric) if metric == "mae_log" else f"{unit_of(entry)} {label(metric)}".strip()
    return Headline(title_of(entry, events), format_number(entry[metric], places), unit, facts, bad=lost)


def _chapter(entry: dict[str, Any], analysis: TargetAnalysis, events: bool, times: Times) -> Section:
    scored, unit = analysis.scored, unit_of(entry)
    made = "before the event" if events else "the horizon before"
    weeks = Plot(errors.weeks(scored, unit, times), f"Measured values, forecasts made {made}, and the interval.")
    calibration = Plot(
        errors.calibration(entry, analysis.calibration),
        "Dots with 95% intervals: share of measured values inside the interval; dashed: what was asked for."
        if entry.get("coverage")
        else "Observed frequency by forecast probability; dashed: perfect calibration.",
    )
    parts: dict[str, Iterable[Block]] = {
        "Forecast against truth": [weeks],
        "Calibration": [calibration],
        "Where the errors are": _errors(entry, analysis, unit, times),
        **({"Entities": entities(entry)} if "entities" in entry else {}),
        **({"Every step ahead": steps(entry["steps"])} if "steps" in entry else {}),
        "What the model goes by": _explanations(analysis, unit, times),
        "How the model was chosen": _candidates(analysis.tuning),
    }
    if has_decisions(entry):
        parts["What decisions by price would have come to"] = decisions(entry)
    name = scored.target.name
    # Every chapter has the same parts, and the anchors of a page must differ.
    sections = (Section(title, blocks, f"{name}-{number}") for number, (title, blocks) in enumerate(parts.items()))
    return Section(title_of(entry, events), sections, name)


def _errors(entry: dict[str, Any], analysis: TargetAnalysis, unit: str, times: Times) -> Iterator[Block]:
    if (figure := errors.slices(entry, BAND)) is not None:
        yield Plot(figure, "Error by the declared groups, with 95% block-bootstrap intervals.")
    yield Plot(
        errors.residuals(analysis.scored, analysis.weeks, analysis.residuals, unit, analysis.categories, times),
        "Forecast less truth: above zero the forecast is too high.",
    )
    days = analysis.worst_days
    share = sum(day["share"] for day in days)
    worst = Table(
        ["Day", "Rows", f"Mean truth {unit}", "Mean forecast", "RMSE", "Share of squared error"],
        [[times.day(d["day"]), d["n"], d["truth"], d["forecast"], d["rmse"], f"{d['share']:.1%}"] for d in days],
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
                *(with_interval(part[m], part["ci"][m], digits(entry, m)) for m in metrics),
            ]
            for group, values in entry["slices"].items()
            for value, part in largest(values, _GROUPS).items()
        ],
    )
    if cut := {group: len(values) for group, values in entry["slices"].items() if len(values) > _GROUPS}:
        many = ", ".join(f"{group.replace('_', ' ')} {count:,}" for group, count in cut.items())
        yield Note(f"Of groupings with more groups ({many}), the {_GROUPS} with most rows; all are in metrics.json.")
    yield Table(
        ["Disparity", "Figure", "Best group", "Worst group", "Difference", "Ratio"],
        [
            [group, label(metric), each["best"], each["worst"], each["difference"], each["ratio"]]
            for group, disparities in entry["disparity"].items()
            for metric, each in disparities.items()
        ],
    )


def _explanations(analysis: TargetAnalysis, unit: str, times: Times) -> Iterator[Block]:
    if analysis.explained is None:
        yield Note("The model is not one that can be explained feature by feature.")
        return
    shares = ", ".join(f"{share:.0%} {group}" for group, share in analysis.groups.items()).capitalize()
    yield Plot(
        shap.importance(analysis.explained, analysis.scored, unit, analysis.categories),
        f"Exact SHAP values of {analysis.explained.rows.size:,} random rows: how far each feature moves the forecast."
        + (f" {shares}." if shares else ""),
    )
    yield Plot(
        shap.local(analysis.local, unit, analysis.categories, times),
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


def _method(usecase: UseCase, split: dict[str, Any], times: Times) -> Text:
    settings = usecase.evaluation
    return Text(
        f"The test span begins {times.day(split['test_from'])}; training ended at least the longest horizon before. "
        "Every row of the span where the target was really measured counts, and no target was imputed. Intervals are "
        f"percentiles of {settings.repeats} moving-block bootstrap repeats with blocks of {settings.block}. MASE is "
        "the MAE over that of the seasonal baseline before the test span; sMAPE lies between 0 and 2. A row is in the "
        "groups of the moment at which its forecast is made, and in the band of the last value known then; rows where "
        "it is missing are the group unknown, as are those of no group in every other grouping, so that groups add up "
        f"to all rows. Disparities are fairlearn's, over groups of at least {FEWEST_ROWS} rows; that of the bias is "
        "the largest group bias less the smallest, and its groups are those with the smallest and the largest in size."
    )
