"""Signed checkpoints of a registry: the newest event of each use case, to be kept outside the registry.

A chain shows that an event was edited, and its head that events are missing. Whoever may delete objects can shorten the
chain together with its head, or write a new one; only what was noted elsewhere shows that.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import canonical_json, parse_json
from governance.envelope import canonical_pem, fingerprint, is_valid, load_public, sign
from governance.registry.events import time_text
from governance.registry.reader import Reader

PAYLOAD = "application/vnd.almanac.checkpoint+json"
_FIELDS = {"format", "when", "heads"}


def make_checkpoint(registry: Reader, now: datetime, key: Path, use_case: str | None = None) -> dict[str, Any]:
    """Return a signed checkpoint of all use cases, or of one.

    Args:
        registry: the registry; its chains are read and checked first.
        now: the present.
        key: PEM file of the private key.
        use_case: one use case; None for all.

    Raises:
        RegistryError: there is nothing to note, a chain is broken, or the key cannot sign.
    """
    from governance.signing import public_key

    heads = {}
    for name in [use_case] if use_case else registry.use_cases():
        last = registry.registered(name).last
        # `registered` refuses a use case without events.
        assert last is not None
        heads[name] = {"number": last.number, "digest": last.digest}
    # Without the registry's address, as a registry may move, and is then still the same.
    statement = {"format": 1, "when": time_text(now), "heads": heads}
    signature = sign(PAYLOAD, canonical_json(statement), key)
    return {**statement, "public_key": public_key(key).decode(), "signature": signature}


def check_checkpoint(registry: Reader, path: Path, public: Path | None) -> tuple[dict[str, int], str]:
    """Check that a registry still holds every event that a checkpoint notes.

    Args:
        registry: the registry.
        path: the checkpoint's file.
        public: the key that must have signed it; None takes the key in the file, which proves that nobody edited the
            file, and not who wrote it.

    Returns:
        Use case -> number of the noted event, and who signed.

    Raises:
        RegistryError: another signature, or a chain that was truncated, rewritten or removed since.
    """
    value = _read(path)
    heads, signer = value["heads"], _signer(value, path, public)
    # By `state`, which takes a use case without events: a removed one is told as a truncated log.
    for use_case, head in heads.items():
        state = registry.state(use_case)
        where = f"{registry.store.url}: {use_case}"
        if head["number"] not in state.digests:
            raise RegistryError(
                f"{where}: the log was truncated; the checkpoint of {value['when']} notes event {head['number']}, the "
                f"chain ends at {max(state.digests, default=0)}"
            )
        if state.digests[head["number"]] != head["digest"]:
            raise RegistryError(
                f"{where}: the log was rewritten; event {head['number']} is another one than the checkpoint of "
                f"{value['when']} notes"
            )
    return {use_case: head["number"] for use_case, head in heads.items()}, signer


def _read(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RegistryError(f"{path}: cannot be read as a checkpoint ({error})") from error
    heads = value.get("heads") if isinstance(value, dict) else None
    whole = isinstance(heads, dict) and bool(heads) and all(_is_head(head) for head in heads.values())
    if not whole or set(value) != {*_FIELDS, "public_key", "signature"} or value["format"] != 1:
        raise RegistryError(f"{path}: not a checkpoint; expected what `almanac registry checkpoint` wrote")
    return dict(value)


def _is_head(head: Any) -> bool:
    kinds: dict[str, Callable[[Any], bool]] = {
        # Not isinstance: true is an int to Python.
        "number": lambda value: type(value) is int,
        "digest": lambda value: isinstance(value, str),
    }
    return isinstance(head, dict) and set(head) == set(kinds) and all(kinds[name](head[name]) for name in kinds)


def _signer(value: dict[str, Any], path: Path, public: Path | None) -> str:
    try:
        pem = public.read_bytes() if public else str(value["public_key"]).encode()
    except OSError as error:
        raise RegistryError(f"{public}: not a PEM public key ({error})") from error
    name = str(public or path)
    statement = {field: value[field] for field in _FIELDS}
    if not is_valid(PAYLOAD, canonical_json(statement), str(value["signature"]), load_public(pem, name), name):
        raise RegistryError(f"{path}: edited, or not signed with the key {public or 'that it names'}")
    note = "" if public else "; the key is the checkpoint's own: give --public-key to pin it"
    return f"key {fingerprint(canonical_pem(pem, name))[:12]}…{note}"
