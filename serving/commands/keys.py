"""`python -m serving keys {create,list,rotate,revoke}`."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from serving.security.keys import SCOPES, Key, KeyRing, load_keys, save_keys
from serving.security.limits import parse_rate


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        ServingError: an unknown key, scope or rate, or a file that holds no keys.
    """
    given = _parser().parse_args(arguments)
    ring = load_keys(given.keys)
    if given.action == "list":
        print("\n".join(_line(key) for key in ring.keys.values()) or "no keys")
        return 0
    _ACTIONS[given.action](ring, given)
    save_keys(ring, given.keys)
    return 0


def _create(ring: KeyRing, given: argparse.Namespace) -> None:
    if given.rate:
        parse_rate(given.rate)
    key, text = ring.create(given.name, tuple(given.scopes.split(",")), given.rate)
    print(f"{text}\nThis is the only time that the key is shown. Its id is {key.id}.")


def _rotate(ring: KeyRing, given: argparse.Namespace) -> None:
    print(f"{ring.rotate(given.id, given.grace)}\nThe old secret is accepted for {given.grace:g} s more.")


def _revoke(ring: KeyRing, given: argparse.Namespace) -> None:
    ring.revoke(given.id)
    print(f"{given.id} is revoked")


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
    create.add_argument("--scopes", default="predict,explain", help=f"some of {','.join(SCOPES)}")
    create.add_argument("--rate", help="own rate limit, such as 100/s")
    actions.add_parser("list", help="show the keys without their secrets")
    rotate = actions.add_parser("rotate", help="give a key a new secret")
    rotate.add_argument("id")
    rotate.add_argument("--grace", type=float, default=86400.0, help="seconds that the old secret is accepted for")
    revoke = actions.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id")
    return parser
