"""The commands `push`, `exporter` and `dashboards`."""

import argparse
from pathlib import Path

from almanac.core.errors import MetricError


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to a command line."""
    push = commands.add_parser("push", help="export the figures of a run or a registered model to Prometheus")
    push.add_argument("source", metavar="SOURCE", help="a run directory, or registry:<use case>/<stage or version>")
    push.add_argument("--to", required=True, metavar="DIR|URL", help="directory of an exporter, or a Pushgateway")
    push.add_argument(
        "--window", type=_duration, default="30d", metavar="LENGTH", help="window of the realised error (30d)"
    )
    push.set_defaults(run=_push)
    exporter = commands.add_parser("exporter", help="serve pushed figures for Prometheus to scrape")
    exporter.add_argument("directory", type=Path, metavar="DIR")
    exporter.add_argument("--host", default="127.0.0.1")
    exporter.add_argument("--port", type=int, default=9108)
    exporter.set_defaults(run=_exporter)
    dashboards = commands.add_parser("dashboards", help="write the Grafana dashboards as JSON")
    dashboards.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is not as built")
    dashboards.set_defaults(run=_dashboards)


def _duration(text: str) -> str:
    from almanac.usecase.types import to_timedelta

    try:
        to_timedelta(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _push(arguments: argparse.Namespace) -> int:
    if arguments.source.startswith("registry:"):
        from governance.registry import default_url, parse_address
        from monitoring.operations.version import push_version

        use_case, what = parse_address(arguments.source)
        pushed = push_version(use_case, what, default_url(), arguments.to, arguments.window)
    else:
        use_case, pushed = _push_run(Path(arguments.source), arguments.to, arguments.window)
    print(f"{pushed} figures of {use_case} to {arguments.to}")
    return 0


def _push_run(directory: Path, to: str, window: str) -> tuple[str, int]:
    """Push the figures of a run directory: model, drift, predictions; return the use case and how many there are."""
    from almanac.core.files import read_json
    from monitoring.operations import figures
    from monitoring.operations.push import push

    samples = figures.of_run(directory, window=window)
    use_case = samples[0].labels[0]
    groups = {"model": samples}
    if (directory / "drift.json").is_file():
        groups["drift"] = figures.of_drift(read_json(directory / "drift.json"))
    if (directory / "predictions.parquet").is_file():
        import polars as pl

        table = pl.read_parquet(directory / "predictions.parquet")
        groups["window"] = figures.of_predictions(use_case, table, window)
    for group, found in groups.items():
        push(found, to, f"{use_case}-{group}")
    return use_case, sum(map(len, groups.values()))


def _exporter(arguments: argparse.Namespace) -> int:
    from monitoring.operations.push import exporter

    server = exporter(arguments.directory, arguments.host, arguments.port)
    print(f"{arguments.directory} on http://{arguments.host}:{server.server_address[1]}/metrics", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
    return 0


def _dashboards(arguments: argparse.Namespace) -> int:
    from monitoring.operations.dashboards import write

    stale = write(check=arguments.check)
    if arguments.check and stale:
        names = ", ".join(path.name for path in stale)
        raise MetricError(f"{names}: not as built; run `python -m monitoring dashboards`")
    print("\n".join(str(path) for path in stale) or "all as built")
    return 0
