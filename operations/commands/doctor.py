"""The command `doctor`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.status import Status

from almanac.core.errors import RegistryError
from almanac.core.files import pretty_json, write_text
from operations.commands.options import History, Registry, Runs, room_libraries
from orchestration.commands.options import AsJson, command_app, example

if TYPE_CHECKING:
    from operations.doctor import Result
    from operations.subject import Subject

app = command_app(
    help="Examine an installation.",
    epilog=example("almanac doctor usecases/demand.yaml --server http://127.0.0.1:8080"),
)

_UseCases = Annotated[
    list[str] | None,
    typer.Argument(metavar="[USECASE]...", help="Files or names; those of the registry without.", show_default=False),
]


@app.command(epilog=example("almanac doctor --registry s3://models --checklist production.md"))
def doctor(
    usecases: _UseCases = None,
    registry: Registry = "",
    history: History = "",
    runs: Runs = Path("runs"),
    server: Annotated[list[str] | None, typer.Option("--server", metavar="URL", help="A model server.")] = None,
    prometheus: Annotated[str, typer.Option(metavar="URL", help="Prometheus.")] = "",
    key: Annotated[list[Path] | None, typer.Option("--key", metavar="FILE", help="A file of keys or secrets.")] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="Settings of reports and notifications.")
    ] = None,
    checklist: Annotated[
        Path | None, typer.Option("--checklist", metavar="OUT", help="Write the production checklist, filled in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, reachability, permissions, clocks, disk, secrets and schedules; 1 if something fails."""
    # Imported here: the help would otherwise load a database's client.
    with room_libraries():
        from governance.registration import actor
        from governance.registry import default_url as registry_url
        from operations.doctor import Patient, examine
        from operations.doctor.checklist import fill
        from operations.history import default_url

    url, now = registry or registry_url(), datetime.now(UTC)
    patient = Patient(
        registry=url,
        history=history or default_url(),
        runs=runs,
        subjects=_subjects(usecases, url),
        servers=tuple(address.rstrip("/") for address in server or ()),
        prometheus=prometheus,
        keys=tuple(key or ()),
        settings=settings,
        now=now,
    )
    with Status("looking ...", console=Console(stderr=True)) as status:
        results = examine(patient, lambda name: status.update(f"{name} ..."))
    if checklist is not None:
        write_text(checklist, fill(results, now, actor()))
    typer.echo(pretty_json(_document(results)) if as_json else _table(results), nl=False)
    if any(result.status == "failed" for result in results):
        raise typer.Exit(1)


def _subjects(given: list[str] | None, url: str) -> "tuple[Subject, ...]":
    from governance.registry import Registry as Reader
    from operations.subject import find_subject

    if given:
        return tuple(find_subject(name, url) for name in given)
    try:
        return tuple(find_subject(name, url) for name in Reader(url).use_cases())
    except RegistryError:
        # The check of the registry says it.
        return ()


def _table(results: "list[Result]") -> str:
    lines = []
    for result in results:
        for finding in result.findings:
            lines.append(f"{finding.status:<8} {result.check.name:<10} {finding.fact}")
            if finding.remedy:
                lines.append(f"{'':<19} {finding.remedy}")
    worst = [sum(result.status == status for result in results) for status in ("failed", "warning")]
    lines.append(f"{len(results)} checks: {worst[0]} failed, {worst[1]} with a warning")
    return "\n".join(lines) + "\n"


def _document(results: "list[Result]") -> dict[str, Any]:
    return {
        "passed": all(result.status != "failed" for result in results),
        "checks": {
            result.check.name: {
                "status": result.status,
                "findings": [
                    {"status": finding.status, "fact": finding.fact, "remedy": finding.remedy}
                    for finding in result.findings
                ],
            }
            for result in results
        },
    }
