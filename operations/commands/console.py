"""The command `console`."""

from pathlib import Path
from typing import Annotated

import typer

from operations.commands.options import History, Log, Registry, Runs, origins_of, room_libraries
from orchestration.commands.options import example

app = typer.Typer(
    help="Serve the console: what the models do, and what waits for a person.",
    epilog=example("almanac console --port 8090"),
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_Keys = Annotated[
    Path | None, typer.Option("--keys", metavar="FILE", help="Keys of the users; a link is printed without.")
]


_Oidc = Annotated[
    Path | None, typer.Option("--oidc", metavar="FILE", help="Settings of a login by an OpenID Connect provider.")
]


@app.callback()
def console(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    history: History = "",
    registry: Registry = "",
    runs: Runs = Path("runs"),
    log: Log = "",
    keys: _Keys = None,
    oidc: _Oidc = None,
    signing: Annotated[
        Path | None, typer.Option("--signing", metavar="PEM", help="Private key that signs decisions; policies pin it.")
    ] = None,
    audit: Annotated[Path, typer.Option(help="File that logins and acts are appended to.")] = Path(
        ".almanac/console-audit.jsonl"
    ),
    secure: Annotated[bool, typer.Option("--secure", help="Cookies over TLS alone, as behind an ingress.")] = False,
) -> None:
    """Serve the console until a signal ends it."""
    if context.invoked_subcommand:
        return
    # Imported here: the help would otherwise load a web server and a database's client.
    with room_libraries():
        from operations.console.run import serve
        from operations.console.settings import ConsoleSettings
        from operations.history import default_url

    settings = ConsoleSettings(
        history or default_url(), origins_of(registry, runs, log), keys, oidc, signing, secure, audit
    )
    serve(settings, host, port)


@app.command(epilog=example("almanac console key ann --role approver --keys console-keys.json"))
def key(
    name: Annotated[str, typer.Argument(help="The person's name, as events carry it.")],
    role: Annotated[str, typer.Option(help="viewer, approver, operator or admin.")],
    keys: Annotated[Path, typer.Option("--keys", metavar="FILE", help="File of keys.")] = Path("console-keys.json"),
) -> None:
    """Make a key for a person, print it once, and keep its digest."""
    from operations.console.keys import add_key

    typer.echo(add_key(keys, name, role))
