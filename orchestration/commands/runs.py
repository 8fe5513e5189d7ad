"""Commands on run directories."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from almanac.core.errors import PipelineError
from almanac.core.files import pretty_json, read_json
from almanac.evaluation.common_rows import compare_rows
from orchestration.commands.options import AsJson, command_app, example

app = command_app()

_Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]


@app.command(epilog="Example: almanac compare runs/demand/20261101-030000-1 runs/demand/latest")
def compare(first: _Run, second: _Run, as_json: AsJson = False) -> None:
    """Compare the metrics of two runs of a use case on the rows that both scored."""
    documents = [_metrics(run) for run in (first, second)]
    names = [document["use_case"] for document in documents]
    if names[0] != names[1]:
        raise PipelineError(f"{first} is of {names[0]} and {second} of {names[1]}; expected runs of one use case")
    targets = {}
    for name in _common(documents):
        pair = [document["targets"][name] for document in documents]
        ours, theirs = (_rows(run, name) for run in (first, second))
        common = compare_rows(ours, theirs, classification=pair[0]["task"] == "classification")
        same = ours.height == theirs.height == common.rows
        # Stored figures have more to say, but of other rows they say nothing.
        metrics = _differences(*pair) if same else _differences(common.first, common.second)
        targets[name] = {"same_rows": same, "rows": common.rows, "metrics": metrics}
    if as_json:
        result = {"use_case": names[0], "first": str(first), "second": str(second), "targets": targets}
        typer.echo(pretty_json(result), nl=False)
    else:
        typer.echo("\n".join(line for name, target in targets.items() for line in _lines(name, target)))


@app.command(epilog=example("almanac upload runs/demand/latest"))
def upload(run: _Run) -> None:
    """Upload the Comet archive of a run; if that fails, run and archive stay as they are."""
    from almanac.training.tracking.upload import upload as send

    typer.echo(f"uploaded {send(run).name}")


def _metrics(run: Path) -> dict[str, Any]:
    path = run / "metrics.json"
    try:
        document: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"{path}: cannot be read ({error}); expected a directory that `almanac run` wrote"
        ) from None
    return document


def _common(documents: list[dict[str, Any]]) -> list[str]:
    first, second = (document["targets"] for document in documents)
    names = [name for name in first if name in second]
    if not names:
        raise PipelineError(f"the runs have no target in common: {', '.join(first)} and {', '.join(second)}")
    return names


def _differences(first: dict[str, Any], second: dict[str, Any]) -> dict[str, dict[str, float]]:
    numbers = dict(_numbers(second))
    return {
        name: {"first": value, "second": numbers[name], "difference": numbers[name] - value}
        for name, value in _numbers(first)
        if name in numbers
    }


def _numbers(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value


def _rows(run: Path, target: str) -> pl.DataFrame:
    path = run / "predictions.parquet"
    try:
        return pl.read_parquet(path).filter(pl.col("target") == target)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise PipelineError(
            f"{path}: cannot be read ({error}); figures are compared on the rows that it holds"
        ) from None


def _lines(name: str, target: dict[str, Any]) -> Iterator[str]:
    which = "the same" if target["same_rows"] else "in common"
    yield f"{name} ({target['rows']:,} rows, {which})" if target["rows"] else f"{name} (no row in common)"
    for metric, values in target["metrics"].items():
        # Bands and slices are for programs; `--json` has them all.
        if "." not in metric or metric == "coverage.overall":
            yield f"  {metric:<18}{values['first']:>14.5g}{values['second']:>14.5g}{values['difference']:>+14.5g}"
