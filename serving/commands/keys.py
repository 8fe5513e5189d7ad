"""`keys`: create, list, rotate and revoke the server's API keys."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from almanac.core.commands import example
from almanac.core.errors import ServingError
from serving.security.keys import SCOPES, Key, changing, load_keys
from serving.security.limits import parse_rate

keys = typer.Typer(no_args_is_help=True, help="API keys of the server.", rich_markup_mode=None)

_SCOPES_HELP = (
    f"Some of {','.join(SCOPES)}: predict for predictions and :feedback, explain for :explain, ingest for :ingest, "
    "admin for everything and the repository."
)


@keys.callback()
def _options(
    context: typer.Context,
    path: Annotated[Path, Option("--keys", envvar="ALMANAC_KEYS", help="File of API keys.")] = Path(
        ".almanac/keys.json"
    ),
) -> None:
    context.obj = path


@keys.command(epilog=example("almanac keys create --name dashboard --scopes predict,explain"))
def create(
    context: typer.Context,
    name: Annotated[str, Option(help="Owner of the key.")],
    scopes: Annotated[str, Option(help=_SCOPES_HELP)] = "predict,explain",
    rate: Annotated[str | None, Option(help="Own rate limit, such as 100/s.")] = None,
    use_cases: Annotated[
        str | None, Option(help="Use cases that it is for, with commas; all by default.", show_default=False)
    ] = None,
) -> None:
    """Create a key and show it once."""
    # Checked before the file is locked and changed.
    if rate:
        parse_rate(rate)
    with changing(context.obj) as ring:
        key, text = ring.create(
            name, tuple(scopes.split(",")), rate, tuple(use_cases.split(",")) if use_cases else None
        )
    _show_saved("create", key.id, f"{text}\nThis is the only time that the key is shown. Its id is {key.id}.")


@keys.command("list", epilog=example("almanac keys list"))
def list_keys(context: typer.Context) -> None:
    """List the keys without their secrets."""
    _show("\n".join(_line(key) for key in load_keys(context.obj).keys.values()) or "no keys")


@keys.command(epilog=example("almanac keys rotate ID --grace 3600"))
def rotate(
    context: typer.Context,
    identity: Annotated[str, Argument(metavar="ID")],
    grace: Annotated[float, Option(help="Seconds for which the old secret is still accepted.")] = 86400.0,
) -> None:
    """Give a key a new secret."""
    with changing(context.obj) as ring:
        text = ring.rotate(identity, grace)
    _show_saved("rotate", identity, f"{text}\nThe old secret is accepted for {grace:g} s more.")


@keys.command(epilog=example("almanac keys revoke ID"))
def revoke(context: typer.Context, identity: Annotated[str, Argument(metavar="ID")]) -> None:
    """Revoke a key."""
    with changing(context.obj) as ring:
        ring.revoke(identity)
    _show_saved("revoke", identity, f"{identity} is revoked")


def _show_saved(action: str, identity: str, text: str) -> None:
    try:
        _show(text)
    except ServingError as error:
        raise ServingError(f"{action} of {identity} is saved, but {error}") from error


def _show(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError as error:
        # Python flushes standard output once more at exit, which would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ServingError("nobody reads standard output, so that nothing was shown") from error


def _line(key: Key) -> str:
    created = datetime.fromtimestamp(key.created, UTC).isoformat(timespec="seconds")
    use_cases = "all" if key.use_cases is None else ",".join(key.use_cases)
    state = "revoked" if key.revoked is not None else "live"
    return (
        f"{key.id}  {state:8}  {','.join(key.scopes):24}  {key.rate or '-':10}  {created}  {use_cases:12}  {key.name}"
    )
