"""The command that predicts a Parquet file."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import command_app, example

app = command_app()


@app.command("batch", epilog=example("almanac batch in.parquet out.parquet --model registry:demand/production"))
def _batch(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Parquet file with the features or the raw columns.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Parquet file to write.")],
    model: Annotated[str, typer.Option(envvar="ALMANAC_MODEL", help="Address of the model, as the server's --model.")],
    target: Annotated[str, typer.Option(help="One target; all of them when empty.")] = "",
    steps: Annotated[
        bool, typer.Option("--steps", help="Forecast every step of every entity from the newest time instead.")
    ] = False,
) -> None:
    """Predict every row of a Parquet file, and write its columns followed by the predictions."""
    from almanac.model.batch import predict_file
    from serving.prediction.source import Source

    bundle = Source(model).load()
    if steps:
        from almanac.model.step_forecasts import forecast_file

        count = forecast_file(bundle, source, output, target or None)
        typer.echo(f"{count} steps forecast by {bundle.use_case} version {bundle.version}")
        return
    count = predict_file(bundle, source, output, target or None)
    typer.echo(f"{count} rows predicted by {bundle.use_case} version {bundle.version}")
