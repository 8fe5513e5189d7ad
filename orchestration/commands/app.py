"""The tree of commands; the module of a command is imported when that command is called, and not before."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from almanac.core.commands import exit_code_of
from orchestration.commands.options import example

#: Of each command, the module whose Typer application `app` is the command or holds it, and its line in the help.
SECTIONS = {
    "Forecasts": {
        "new": ("orchestration.commands.usecase", "Propose a use case file for a table."),
        "check": ("orchestration.commands.usecase", "Check a use case file, and with --data its table."),
        "schema": ("orchestration.commands.usecase", "Print the JSON schema of a use case file."),
        "run": ("orchestration.commands.local", "Run the training pipeline on this machine."),
        "retrain": ("orchestration.commands.retrain", "Train on the newest data and ask for an approval."),
        "predict": ("orchestration.commands.local", "Predict a span of the newest data by the model in production."),
        "statements": ("orchestration.commands.statements", "Ask for the statements that documents need."),
        "runs": ("orchestration.commands.runs", "List the training runs on this machine."),
        "compare": ("orchestration.commands.runs", "Compare runs: metrics, parameters, features and data."),
        "open": ("orchestration.commands.runs", "Open the report of a run in the browser."),
        "upload": ("orchestration.commands.runs", "Upload the Comet archive of a run."),
    },
    "Models": {
        "registry": ("governance.commands", "Versions, stages, approvals and their log."),
        "verify": ("governance.commands", "Verify every reference behind a run's documents."),
        "serve": ("serving.commands", "Serve a model over KServe's protocols."),
        "batch": ("orchestration.commands.batch", "Predict the rows of a Parquet file."),
        "canary": ("serving.commands", "Start, look at, move and end the canary of a running server."),
        "keys": ("serving.commands", "Create, list, rotate and revoke the server's API keys."),
        "ingest": ("serving.commands", "Append observations to a feature store."),
    },
    "Monitoring": {
        "monitor": ("orchestration.commands.local", "Evaluate the last windows and act on a breach."),
        "drift": ("monitoring.commands", "Compare a table with a reference."),
        "plans": ("orchestration.commands.plans", "Approve, reject and execute plans of retrainings."),
        "push": ("monitoring.commands", "Export the metrics of a run or a registered model."),
        "exporter": ("monitoring.commands", "Serve exported metrics to Prometheus, and the runbooks."),
        "notifications": ("monitoring.commands", "Check that alerts can leave the machine."),
        "dashboards": ("monitoring.commands", "Write the Grafana dashboards."),
    },
    "Operations": {
        "console": ("operations.commands.console", "Serve the console: health, drift, versions, approvals."),
        "agent": ("operations.commands.agent", "Diagnose alarms, and act on them by a policy."),
        "history": ("operations.commands.history", "Rebuild, export and migrate the history."),
        "backup": ("operations.commands.backup", "Back up registry, runs and log, and restore them."),
        "doctor": ("operations.commands.doctor", "Examine an installation, and fill in the checklist."),
        "notify": ("operations.commands.notify", "Send the events that people wait for, each once."),
        "report": ("operations.commands.report", "Write and send the weekly and the monthly report."),
    },
    "Clusters": {
        "compile": ("orchestration.commands.compile", "Compile every pipeline and component."),
        "submit": ("orchestration.commands.cluster", "Run the training pipeline on a cluster."),
        "schedule": ("orchestration.commands.cluster", "Schedule a pipeline on a cluster."),
        "publish": ("orchestration.commands.cluster", "Put a large use case where its pipelines find it."),
        "deploy": ("orchestration.commands.deploy", "Deploy the version in production."),
    },
}
#: Commands for the project's own releases, which the help leaves out.
_HIDDEN = {"dev": ("orchestration.commands.dev", "Release Almanac itself.")}
ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()} | _HIDDEN


class _Commands(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        # The names alone: the help and the suggestion for a mistyped name need no more.
        super().__init__(**attributes | {"commands": dict.fromkeys(ENTRIES)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in ENTRIES:
            return None
        module, _ = ENTRIES[cmd_name]
        command: Any = get_command(import_module(module).app)
        command = getattr(command, "commands", {}).get(cmd_name, command)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        # The summaries of the table, because those of the commands would import every room.
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{name:<10}", summary) for name, (_, summary) in entries.items()])


app = typer.Typer(
    cls=_Commands, add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)


def _print_version(asked: bool) -> None:
    if asked:
        # Not before: it reads the metadata of the installed package.
        from almanac.core.image import VERSION

        typer.echo(f"almanac {VERSION}")
        raise typer.Exit


@app.callback(epilog=example("almanac run usecases/demand.yaml --set training.budget.trials=2"))
def _almanac(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Forecasts from tables: train, serve, monitor and document a model by one use case file."""


def main(pipelines: Callable[[], ModuleType]) -> None:
    """Run the command line; an error of Almanac is one line on standard error, without a traceback.

    Args:
        pipelines: imports the package of pipelines, see `handed`.
    """
    raise SystemExit(exit_code_of(lambda: app(prog_name="almanac", obj=pipelines)))
