"""Commands on the history: `rebuild`, `export`, `migrate`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from almanac.core.files import pretty_json
from operations.commands.options import History, Log, Registry, Runs, origins_of, room_libraries
from orchestration.commands.options import AsJson, command_app, example

app = command_app(
    help="The database of runs, versions, windows, alarms, plans and actions; everything in it can be made again.",
    epilog=example("almanac history rebuild"),
)


@app.command(epilog=example("almanac history rebuild --history postgresql://almanac@db/almanac --registry s3://models"))
def rebuild(
    history: History = "",
    registry: Registry = "",
    runs: Runs = Path("runs"),
    log: Log = "",
    as_json: AsJson = False,
) -> None:
    """Make the history again from the registry, the run directories and the prediction log."""
    # Imported here: the help of every command would otherwise load a database's client.
    with room_libraries():
        from operations import history as room

    engine = room.open_history(history or room.default_url())
    origins = origins_of(registry, runs, log)
    # On standard error, and only where somebody looks.
    with Status("reading ...", console=Console(stderr=True)) as status:
        counts = room.rebuild(engine, origins, lambda name, rows: status.update(f"{name}: {rows:,} rows"))
    if as_json:
        typer.echo(pretty_json({"rows": counts, "sha256": room.digest(engine)}), nl=False)
        return
    for table, rows in counts.items():
        typer.echo(f"{table:<16}{rows:>9,}")
    typer.echo(f"sha256 {room.digest(engine)}")


@app.command(epilog=example("almanac history export --out history.jsonl"))
def export(
    history: History = "",
    out: Annotated[Path | None, typer.Option(help="File; standard output without it.")] = None,
) -> None:
    """Write every row as a line of JSON, the same bytes from SQLite and PostgreSQL."""
    with room_libraries():
        from almanac.core.files import write_bytes
        from operations import history as room

    lines = room.export(room.open_history(history or room.default_url()))
    if out is None:
        for line in lines:
            sys.stdout.buffer.write(line)
    else:
        write_bytes(out, b"".join(lines))


@app.command(epilog=example("almanac history migrate --history sqlite:///history.db"))
def migrate(history: History = "") -> None:
    """Bring the tables to this release's form; `rebuild` and the console do it by themselves."""
    with room_libraries():
        from operations import history as room

    revision = room.migrate(history or room.default_url())
    typer.echo(f"revision {revision}")
