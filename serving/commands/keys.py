"""`python -m serving keys {create,list,rotate,revoke}`."""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from almanac.core.errors import ServingError
from serving.security.keys import SCOPES, Key, KeyRing, changing, load_keys
from serving.security.limits import parse_rate


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        ServingError: an unknown key, scope or rate, a file that holds no keys or cannot be written, or a pipe that
            nobody reads.
    """
    given = _parser().parse_args(arguments)
    if given.action == "list":
        _show("\n".join(_line(key) for key in load_keys(given.keys).keys.values()) or "no keys")
        return 0
    with changing(given.keys) as ring:
        identity, text = _ACTIONS[given.action](ring, given)
    try:
        _show(text)
    except ServingError as error:
        raise ServingError(f"{given.action} of {identity} is saved, but {error}") from error
    return 0


def _create(ring: KeyRing, given: argparse.Namespace) -> tuple[str, str]:
    if given.rate:
        parse_rate(given.rate)
    key, text = ring.create(given.name, tuple(given.scopes.split(",")), given.rate)
    return key.id, f"{text}\nThis is the only time that the key is shown. Its id is {key.id}."


def _rotate(ring: KeyRing, given: argparse.Namespace) -> tuple[str, str]:
    text = ring.rotate(given.id, given.grace)
    return given.id, f"{text}\nThe old secret is accepted for {given.grace:g} s more."


def _revoke(ring: KeyRing, given: argparse.Namespace) -> tuple[str, str]:
    ring.revoke(given.id)
    return given.id, f"{given.id} is revoked"


def _show(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError as error:
        # Python flushes once more at its end; what is left must not raise there again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ServingError("nobody reads standard output, so that nothing was shown") from error


_SCOPES_HELP = (
    f"some of {','.join(SCOPES)}: predict for predictions and :feedback, explain for :explain, ingest for :ingest, "
    "admin for everything and the repository; predict,explain by default"
)
_ACTIONS = {"create": _create, "rotate": _rotate, "revoke": _revoke}


def _line(key: Key) -> str:
    created = datetime.fromtimestamp(key.created, UTC).isoformat(timespec="seconds")
    state = "revoked" if key.revoked is not None else "live"
    return f"{key.id}  {state:8}  {','.join(key.scopes):24}  {key.rate or '-':10}  {created}  {key.name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m serving keys", description="API keys of the server")
    default = Path(os.environ.get("ALMANAC_KEYS", ".almanac/keys.json"))
    parser.add_argument("--keys", type=Path, default=default, help="file of API keys")
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key and show it once")
    create.add_argument("--name", required=True, help="who gets it")
    create.add_argument("--scopes", default="predict,explain", help=_SCOPES_HELP)
    create.add_argument("--rate", help="own rate limit, such as 100/s")
    actions.add_parser("list", help="show the keys without their secrets")
    rotate = actions.add_parser("rotate", help="give a key a new secret")
    rotate.add_argument("id")
    rotate.add_argument("--grace", type=float, default=86400.0, help="seconds that the old secret is accepted for")
    revoke = actions.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id")
    return parser
