"""Commands on backups: `create`, `check`, `restore`."""

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from almanac.core.files import pretty_json
from operations.commands.options import History, Log, Registry, Runs, origins_of, room_libraries
from orchestration.commands.options import AsJson, command_app, example

app = command_app(
    help="Back up registry, runs and prediction log, and restore them.",
    epilog=example("almanac backup create almanac.tar.gz"),
)

_Archive = Annotated[Path, typer.Argument(metavar="FILE", help="The archive.", show_default=False)]


@app.command(epilog=example("almanac backup create almanac.tar.gz --registry s3://models"))
def create(
    file: _Archive, registry: Registry = "", runs: Runs = Path("runs"), log: Log = "", as_json: AsJson = False
) -> None:
    """Write an archive of the registry, the run directories and the prediction log; others may write meanwhile."""
    # Imported here: the help would otherwise load a database's client.
    with room_libraries():
        from operations import backup

    begun = monotonic()
    with Status("reading ...", console=Console(stderr=True)) as status:
        contents = backup.create(origins_of(registry, runs, log), file, status.update)
    counts = {part: contents.count(part) for part in ("registry", "runs", "log")}
    _say(
        as_json,
        {"file": str(file), "bytes": file.stat().st_size, "files": counts, "history": contents.history},
        f"{file}: {file.stat().st_size / 2**20:.1f} MiB in {monotonic() - begun:.1f} s; "
        + ", ".join(f"{part} {count:,}" for part, count in counts.items()),
    )


@app.command(epilog=example("almanac backup check almanac.tar.gz"))
def check(file: _Archive, as_json: AsJson = False) -> None:
    """Check that an archive is whole."""
    with room_libraries():
        from operations import backup

    contents = backup.inspect(file)
    text = f"{file}: whole; {len(contents.files):,} files, made {contents.created} by release {contents.release}"
    _say(as_json, {"file": str(file), "files": len(contents.files), "created": contents.created}, text)


@app.command(epilog=example("almanac backup restore almanac.tar.gz --registry s3://models-restored"))
def restore(
    file: _Archive,
    history: History = "",
    registry: Registry = "",
    runs: Runs = Path("runs"),
    log: Log = "",
    as_json: AsJson = False,
) -> None:
    """Restore an archive to empty places, verify the registry, and make the history again."""
    with room_libraries():
        from operations import backup
        from operations.history import default_url, open_history

    begun = monotonic()
    with Status("writing ...", console=Console(stderr=True)) as status:
        engine = open_history(history or default_url())
        done = backup.restore(file, origins_of(registry, runs, log), engine, status.update)
    versions = ", ".join(f"{name} {count}" for name, count in done.versions.items())
    compared = f"not compared, as {done.uncompared}" if done.uncompared else "as in the archive"
    _say(
        as_json,
        {
            "files": done.files,
            "versions": done.versions,
            "history": done.history,
            "uncompared": done.uncompared,
        },
        f"{file}: {done.files:,} files in {monotonic() - begun:.1f} s; versions verified: {versions}; "
        f"history {done.history[:12]}, {compared}",
    )


def _say(as_json: bool, document: dict[str, object], text: str) -> None:
    typer.echo(pretty_json(document) if as_json else text, nl=not as_json)
