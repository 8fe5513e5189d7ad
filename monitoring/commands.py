"""The commands of monitoring: `drift`, `push`, `exporter`, `notifications`, `dashboards`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from almanac.core.commands import example
from almanac.core.errors import MetricError
from almanac.core.files import pretty_json, write_json

#: Exit code where the window has drifted.
DRIFTED = 3

app = typer.Typer(
    help="Watch a model and its data.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _length(text: str) -> str:
    from almanac.usecase.types import to_timedelta

    try:
        to_timedelta(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return text


def _column(help_text: str) -> Any:
    return typer.Option(metavar="COLUMN", help=help_text)


@app.command(epilog=example("almanac drift before.parquet newest.parquet --out drift/"))
def drift(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCE",
            help="A table, a profile (JSON), a model directory, or registry:USE_CASE/STAGE or VERSION.",
        ),
    ],
    current: Annotated[
        Path, typer.Argument(metavar="CURRENT", help="A Parquet or CSV file, or a directory of Parquet files.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write drift.json and drift.html to this directory.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    time: Annotated[str | None, _column("Time column of a REFERENCE table; its only one when absent.")] = None,
    entity: Annotated[str | None, _column("Column with the name of each row's series, in a panel.")] = None,
    target: Annotated[str | None, _column("Column of the truth.")] = None,
    prediction: Annotated[str | None, _column("Column of the prediction.")] = None,
    season: Annotated[
        Literal["none", "month", "quarter"], typer.Option(help="Season of REFERENCE to compare with.")
    ] = "month",
    window: Annotated[str, typer.Option(metavar="LENGTH", help="Length of the windows to come.")] = "30d",
    false_alarm_rate: Annotated[float, typer.Option(help="Share of undrifted windows that may raise an alarm.")] = 0.05,
) -> None:
    """Compare the table CURRENT with REFERENCE; exit code 3 if it has drifted."""
    # Imported here, since the exporter runs in an image without polars.
    from almanac.drift import compare
    from monitoring.references import model_reference, read_reference, read_window, summary

    frozen = model_reference(reference)
    settings = {
        "time": time,
        "entity": entity,
        "target": target,
        "prediction": prediction,
        "season": season,
        "window": window,
        "false_alarm_rate": false_alarm_rate,
    }
    comparison = compare(read_reference(reference, frozen, settings), read_window(current, frozen), name=str(current))
    if out is not None:
        from almanac.drift.report import drift_page
        from almanac.reports import write_page

        write_json(out / "drift.json", comparison.to_json())
        write_page(drift_page(comparison), out / "drift.html")
    typer.echo(pretty_json(comparison.to_json()) if as_json else summary(comparison), nl=False)
    if comparison.drifted:
        raise typer.Exit(DRIFTED)


@app.command(epilog=example("almanac push registry:demand/production --to .almanac/figures"))
def push(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A run directory, or registry:USE_CASE/STAGE or VERSION.")
    ],
    to: Annotated[str, typer.Option(metavar="DIR|URL", help="Directory of an exporter, or a Pushgateway.")],
    window: Annotated[
        str, typer.Option(callback=_length, metavar="LENGTH", help="Window of the realised error.")
    ] = "30d",
) -> None:
    """Export the metrics of a run or a registered model to Prometheus."""
    if source.startswith("registry:"):
        from governance.registry import default_url, parse_address
        from monitoring.operations.model_samples import push_version

        use_case, version = parse_address(source)
        pushed = push_version(use_case, version, default_url(), to, window)
    else:
        from monitoring.operations.run import push_run

        use_case, pushed = push_run(Path(source), to, window)
    typer.echo(f"{pushed} samples of {use_case} to {to}")


@app.command(epilog=example("almanac exporter .almanac/figures --port 9108"))
def exporter(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory that `push` writes to.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 9108,
) -> None:
    """Serve exported metrics to Prometheus, and the runbooks that its alerts link to."""
    from monitoring.operations.push import exporter as open_exporter

    server = open_exporter(directory, host, port)
    address = f"http://{host}:{server.server_address[1]}"
    typer.echo(f"{directory} on {address}/metrics, runbooks on {address}/runbooks")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


@app.command(epilog=example("almanac notifications monitoring/alertmanager.yaml"))
def notifications(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Alertmanager's configuration.")],
) -> None:
    """Check that alerts can leave the machine; exit code 1 where a secret or an address is missing."""
    from monitoring.operations.notifications import problems

    if found := problems(config):
        raise MetricError("alerts will not be delivered:\n" + "\n".join(f"  {problem}" for problem in found))
    typer.echo("every secret and address of the notifications is there")


@app.command(epilog=example("almanac dashboards --check"))
def dashboards(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 where a file is stale.")] = False,
) -> None:
    """Write the Grafana dashboards as JSON."""
    from monitoring.operations.dashboards import write

    stale = write(check=check)
    if check and stale:
        names = ", ".join(path.name for path in stale)
        raise MetricError(f"{names}: not as built; run `almanac dashboards`")
    typer.echo("\n".join(str(path) for path in stale) or "all as built")
