"""Commands on run directories."""

import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.errors import PipelineError
from almanac.core.files import pretty_json
from almanac.reports.numbers import with_error
from orchestration.commands.options import AsJson, Out, command_app, example
from orchestration.runs import METRICS, Run, differences, find, listed, shown

app = command_app()

_NAME = "Run directory, id of a run, or name of a use case for its latest run."
_Run = Annotated[str, typer.Argument(metavar="RUN", help=_NAME, show_default=False)]
_Runs = Annotated[list[str], typer.Argument(metavar="RUN RUN [RUN …]", help=_NAME, show_default=False)]
_PAGES = {
    "report": "report.html",
    "validation": "validation.html",
    "drift": "drift.html",
    "documents": "governance/index.html",
}
#: Longest cell of a list of settings.
_CELL = 36


@app.command(epilog=example("almanac runs demand"))
def runs(
    use_case: Annotated[str, typer.Argument(metavar="[USE CASE]", help="Name of a use case; all when absent.")] = "",
    out: Out = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the training runs on this machine."""
    found = listed(out, use_case)
    if as_json:
        typer.echo(pretty_json(found), nl=False)
        return
    if not found:
        typer.echo(f"no run below {out}{f' of {use_case}' if use_case else ''}; `almanac run FILE` makes one")
        return
    for row in found:
        version = f"version {row['version']}" if row["version"] else "not registered"
        gate = f"gate {row['gate']}" if row["gate"] else "no gate"
        started = str(row["started_at"])[:16].replace("T", " ")
        typer.echo(f"{row['use_case']}  {row['run']}  {started}  {row['seconds']:.0f} s  {gate}, {version}")
        for target, headline in row["targets"].items():
            typer.echo(f"  {target:<24}{_headline(headline)}")


@app.command("open", epilog=example("almanac open demand"))
def open_(
    run: _Run,
    out: Out = Path("runs"),
    page: Annotated[str, typer.Option(help="report, validation, drift or documents.")] = "report",
    show: Annotated[bool, typer.Option("--print", help="Print the path alone.")] = False,
) -> None:
    """Open the report of a run in the browser."""
    if page not in _PAGES:
        raise typer.BadParameter(f"{page!r}; expected one of {', '.join(_PAGES)}", param_hint="--page")
    path = (find(run, out).directory / _PAGES[page]).absolute()
    if not path.is_file():
        raise PipelineError(f"{path}: is missing; the run has no {page}")
    typer.echo(path)
    if not show and not webbrowser.open(path.as_uri()):
        typer.echo("no browser was found; open the file by hand", err=True)


@app.command(epilog="Example: almanac compare runs/demand/20261101-030000-1 runs/demand/latest")
def compare(
    names: _Runs,
    out: Out = Path("runs"),
    page: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs of a use case: metrics on the rows that all scored, parameters, features and data."""
    if len(names) < 2:
        raise typer.BadParameter(f"expected at least two runs, got {len(names)}", param_hint="RUN")
    found = [find(name, out) for name in names]
    documents = [run.read(METRICS) for run in found]
    _check_one_use_case(found, documents)
    targets, rows = _compared(found, documents)
    settings = [(name, shown(name, values)) for name, values in differences(found)]
    if page is not None:
        _write(page, found, targets, rows, settings)
    if as_json:
        typer.echo(pretty_json(_document(documents, found, targets, settings)), nl=False)
        return
    for name, target in targets.items():
        typer.echo("\n".join(_lines(name, target)))
    for name, values in settings:
        typer.echo(f"  {name:<32}" + "".join(f"{value[:_CELL]:>{_CELL + 2}}" for value in values))
    if page is not None:
        typer.echo(f"plots: {page}")


@app.command(epilog=example("almanac upload runs/demand/latest"))
def upload(run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]) -> None:
    """Upload the Comet archive of a run; if that fails, run and archive stay as they are."""
    from almanac.training.tracking.upload import upload as send

    typer.echo(f"uploaded {send(run).name}")


def _check_one_use_case(found: Sequence[Run], documents: Sequence[dict[str, Any]]) -> None:
    names = [document["use_case"] for document in documents]
    for run, name in zip(found, names, strict=True):
        if name != names[0]:
            raise PipelineError(
                f"{found[0].name} is of {names[0]} and {run.name} of {name}; expected runs of one use case"
            )


def _compared(found: Sequence[Run], documents: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of each target that all runs have, and its rows in common."""
    # Reads tables, which a list of runs does not.
    from almanac.evaluation.common_rows import joined, metrics_of_all

    names = [name for name in documents[0]["targets"] if all(name in one["targets"] for one in documents)]
    if not names:
        listed_ = " and ".join(", ".join(document["targets"]) for document in documents)
        raise PipelineError(f"the runs have no target in common: {listed_}")
    targets, rows = {}, {}
    for name in names:
        entries = [document["targets"][name] for document in documents]
        tables = [_rows(run, name) for run in found]
        count, measured = metrics_of_all(tables, entries[0]["task"] == "classification")
        same = all(table.height == count for table in tables)
        # Stored figures have more to say, but of other rows they say nothing.
        figures = [dict(_numbers(entry)) for entry in entries] if same else measured
        metrics = {key: [one[key] for one in figures] for key in figures[0] if all(key in one for one in figures)}
        targets[name] = {"same_rows": same, "rows": count, "metrics": metrics}
        rows[name] = joined(tables)
    return targets, rows


def _rows(run: Run, target: str) -> Any:
    import polars as pl

    path = run.directory / "predictions.parquet"
    try:
        return pl.read_parquet(path).filter(pl.col("target") == target)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise PipelineError(
            f"{path}: cannot be read ({error}); figures are compared on the rows that it holds"
        ) from None


def _write(page: Path, found: Sequence[Run], targets: Any, rows: Any, settings: Any) -> None:
    from almanac.reports import write_page
    from orchestration.comparison_page import comparison_page

    plain = {
        name: {**target, "metrics": {key: each for key, each in target["metrics"].items() if _is_leading(key)}}
        for name, target in targets.items()
    }
    write_page(comparison_page([run.name for run in found], plain, rows, settings), page)


def _document(documents: Any, found: Sequence[Run], targets: dict[str, Any], settings: Any) -> dict[str, Any]:
    # Two runs have names of their own, as programs have read them since the first release.
    two = len(found) == 2
    told = {
        name: target
        | {
            "metrics": {
                key: {"first": each[0], "second": each[1], "difference": each[1] - each[0]} if two else each
                for key, each in target["metrics"].items()
            }
        }
        for name, target in targets.items()
    }
    runs_ = {"first": found[0].name, "second": found[1].name} if two else {"runs": [run.name for run in found]}
    return {"use_case": documents[0]["use_case"], **runs_, "targets": told, "differences": dict(settings)}


def _numbers(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value


def _is_leading(metric: str) -> bool:
    """Return whether a metric is shown to people; bands and slices are for programs, and `--json` has them all."""
    return "." not in metric or metric == "coverage.overall"


def _lines(name: str, target: dict[str, Any]) -> Iterator[str]:
    which = "the same" if target["same_rows"] else "in common"
    yield f"{name} ({target['rows']:,} rows, {which})" if target["rows"] else f"{name} (no row in common)"
    for metric, values in target["metrics"].items():
        if _is_leading(metric):
            cells = "".join(f"{value:>14.5g}" for value in values)
            # Of three runs, each beside the first.
            apart = "".join(f"{value - values[0]:>+14.5g}" for value in values[1:])
            yield f"  {metric:<18}{cells}{apart}"


def _headline(headline: dict[str, Any]) -> str:
    if headline["value"] is None:
        return "no figure"
    text = f"{headline['metric']} {with_error(headline['value'], headline['ci'])}"
    skill = headline["skill"]
    return text if skill is None else f"{text}, skill {skill:.1%} against {headline['baseline']}"
