"""The tree of commands; the module of a command is imported when that command is called, and not before."""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from almanac.core.errors import AlmanacError
from orchestration.commands.options import example

_HERE = "orchestration.commands"


class _Entry(NamedTuple):
    """A command: where it is defined, and its line in the help.

    A target is a Typer application, or a function with a parser of its own that takes the words of its command line
    and returns an exit code; such a command has its example here.
    """

    target: str
    summary: str
    words: tuple[str, ...] = ()
    example: str = ""


SECTIONS: dict[str, dict[str, _Entry]] = {
    "Forecasts": {
        "check": _Entry(f"{_HERE}.usecase:check", "Check a use case file without its data."),
        "schema": _Entry(f"{_HERE}.usecase:schema", "Print the JSON schema of a use case file."),
        "run": _Entry(f"{_HERE}.local:run", "Run the training pipeline on this machine."),
        "predict": _Entry(f"{_HERE}.local:predict", "Predict a span of the newest data by the model in production."),
        "compare": _Entry(f"{_HERE}.runs:compare", "Compare the metrics of two runs."),
        "upload": _Entry(f"{_HERE}.runs:upload", "Upload the Comet archive of a run."),
    },
    "Models": {
        "registry": _Entry("governance.commands:app", "Versions, stages, approvals and their log."),
        "verify": _Entry("governance.commands:app", "Verify every reference behind a run's documents."),
        "serve": _Entry("serving.commands:app", "Serve a model over KServe's protocols."),
        "batch": _Entry(f"{_HERE}.batch:app", "Predict the rows of a Parquet file."),
        "keys": _Entry("serving.commands:app", "Create, list, rotate and revoke the server's API keys."),
        "ingest": _Entry("serving.commands:app", "Append observations to a feature store."),
    },
    "Monitoring": {
        "monitor": _Entry(f"{_HERE}.local:monitor", "Evaluate the last windows and act on a breach."),
        "drift": _Entry("monitoring.commands:app", "Compare a table with a reference."),
        "plans": _Entry(f"{_HERE}.plans:app", "Approve, reject and execute plans of retrainings."),
        "push": _Entry("monitoring.commands:app", "Export the metrics of a run or a registered model."),
        "exporter": _Entry("monitoring.commands:app", "Serve exported metrics for Prometheus to scrape."),
        "dashboards": _Entry("monitoring.commands:app", "Write the Grafana dashboards."),
    },
    "Clusters": {
        "compile": _Entry(f"{_HERE}.compile:app", "Compile every pipeline and component."),
        "submit": _Entry(f"{_HERE}.cluster:submit", "Run the training pipeline on a cluster."),
        "schedule": _Entry(f"{_HERE}.cluster:schedule", "Schedule a pipeline on a cluster."),
        "deploy": _Entry(f"{_HERE}.deploy:app", "Deploy the version in production."),
    },
}
#: Commands for the project's own releases, which the help leaves out.
_HIDDEN = {"dev": _Entry(f"{_HERE}.dev:app", "Release Almanac itself.")}
ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()} | _HIDDEN


class _Commands(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        # The names alone: the help and the suggestion for a mistyped name need no more.
        super().__init__(**attributes | {"commands": dict.fromkeys(ENTRIES)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = ENTRIES.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        # The summaries of the table, because those of the commands would import every room.
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{name:<10}", entry.summary) for name, entry in entries.items()])


def _load(name: str, entry: _Entry) -> Any:
    module, _, attribute = entry.target.partition(":")
    value = getattr(import_module(module), attribute)
    command: Any = get_command(value if isinstance(value, typer.Typer) else _forwarding(value, entry))
    # An application of several commands, of which this is one.
    command = getattr(command, "commands", {}).get(name, command)
    command.name = name
    return command


def _forwarding(function: Callable[[list[str]], int], entry: _Entry) -> typer.Typer:
    """Return a command that leaves its arguments, `--help` among them, to a function's own parser."""
    app = typer.Typer(add_completion=False)

    @app.command(
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
        help=entry.summary,
    )
    def forward(context: typer.Context) -> None:
        try:
            code = function([*entry.words, *context.args])
        except SystemExit as stop:
            code = int(stop.code or 0)
        if "--help" in context.args:
            typer.echo(f"\nExample:\n  {entry.example}")
        raise typer.Exit(code)

    return app


app = typer.Typer(
    cls=_Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback(epilog=example("almanac run usecases/demand.yaml --set training.budget.trials=2"))
def _almanac() -> None:
    """Forecasts from tables: train, serve, monitor and document a model by one use case file."""


def main(pipelines: Callable[[], ModuleType]) -> None:
    """Run the command line; an error of Almanac is one line on standard error, without a traceback.

    Args:
        pipelines: imports the package of pipelines, see `handed`.
    """
    try:
        app(prog_name="almanac", obj=pipelines)
    except (AlmanacError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(getattr(error, "exit_code", 1)) from None
