"""Commands on run directories."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from almanac.core.errors import PipelineError
from almanac.core.files import pretty_json, read_json
from orchestration.commands.options import AsJson, command_app, example

app = command_app()

_Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]


@app.command(epilog="Example: almanac compare runs/demand/20261101-030000-1 runs/demand/latest")
def compare(first: _Run, second: _Run, as_json: AsJson = False) -> None:
    """Compare the metrics of two runs of a use case, and say whether they were measured on the same rows."""
    documents = [_metrics(run) for run in (first, second)]
    names = [document["use_case"] for document in documents]
    if names[0] != names[1]:
        raise PipelineError(f"{first} is of {names[0]} and {second} of {names[1]}; expected runs of one use case")
    pairs = {name: [document["targets"][name] for document in documents] for name in _common(documents)}
    targets = {
        name: {"same_rows": _same_rows(first, second, name), "metrics": _differences(*pair)}
        for name, pair in pairs.items()
    }
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


def _same_rows(first: Path, second: Path, target: str) -> bool | None:
    """Return whether both runs were scored on the same rows with the same truth; None where a run kept no rows."""
    paths = [run / "predictions.parquet" for run in (first, second)]
    if not all(path.is_file() for path in paths):
        return None
    tables = [pl.read_parquet(path).filter(pl.col("target") == target) for path in paths]
    keys = [table.columns[: table.columns.index("y") + 1] for table in tables]
    # Rows are compared with their truth, which a later version of the data may have corrected.
    return keys[0] == keys[1] and tables[0].select(keys[0]).sort(keys[0]).equals(
        tables[1].select(keys[1]).sort(keys[1])
    )


def _lines(name: str, target: dict[str, Any]) -> Iterator[str]:
    rows = {True: "the same rows", False: "different rows, so that the differences mean little", None: "unknown rows"}
    yield f"{name} ({rows[target['same_rows']]})"
    for metric, values in target["metrics"].items():
        # Bands and slices are for programs; `--json` has them all.
        if "." not in metric or metric == "coverage.overall":
            yield f"  {metric:<18}{values['first']:>14.5g}{values['second']:>14.5g}{values['difference']:>+14.5g}"
