"""Forged events: what somebody who may write to the store, and has the code, can append to a chain."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from almanac.core.files import canonical_json
from governance.registry import Event, Registry
from governance.registry.chain import FIRST
from governance.registry.events import event_chain
from governance.registry.versions import put_files
from tests.support.bundles import document_files, version_files

_IDS = count()


def forge(registry: Registry, kind: str, version: int, detail: dict[str, Any], **changes: Any) -> Event:
    """Append an event to the chain of `demo` with a right number, predecessor, digest and head; return it."""
    events = list(event_chain(registry.store, "demo").read())
    last = events[-1] if events else None
    number, previous = (last.number + 1, last.digest) if last else (1, FIRST)
    when = last.when if last else "2024-05-01T00:00:00.000Z"
    event = Event(number, "demo", kind, version, "eve", when, "forged", previous, f"forged-{next(_IDS)}", detail)
    event = replace(event, **changes)
    assert event_chain(registry.store, "demo").append(event)
    return event


def forged_registration(registry: Registry, folder: Path, mark: str, **claims: Any) -> int:
    """Store a version's real blobs and manifest, and forge its registration with other claims; return its number.

    Args:
        registry: the registry.
        folder: where its files are made.
        mark: makes its content its own.
        claims: `manifest_approval` and `passed` of the stored files, and fields of the event's detail.
    """
    files = version_files(folder, mark, passed=claims.pop("passed", True))
    approval = claims.pop("manifest_approval", "none")
    manifest = put_files(registry.store, "demo", files, {"metadata": {}, "approval": approval})
    model = json.loads(registry.store.read(f"use_cases/demo/manifests/{manifest}.json"))["files"]
    detail = {"manifest": manifest, "model": model["model/manifest.json"]["sha256"], "approval": approval}
    detail |= {"gate_passed": True, "requires": {}, **claims}
    # Counted in the events, as a chain that is forged already cannot be read as a state.
    number = 1 + sum(event.kind == "registered" for event in event_chain(registry.store, "demo").read())
    forge(registry, "registered", number, detail)
    return number


def forged_documents(registry: Registry, folder: Path, mark: str, number: int) -> str:
    """Store real documents of a forged version, forge their event, and return their manifest."""
    names = ("model/model.bst", "model/manifest.json", "gate.json")
    documents = document_files(folder / mark, {name: folder / mark / name for name in names})
    manifest = put_files(registry.store, "demo", documents, {"version": number})
    forge(registry, "documented", number, {"manifest": manifest})
    return manifest


def rewrite(root: Path, use_case: str, change: Any) -> None:
    """Rewrite a use case's whole chain: each event as `change` returns it, renumbered and hashed anew, and the head."""
    folder = root / "use_cases" / use_case
    paths = sorted((folder / "events").iterdir())
    events = []
    for path in paths:
        values = json.loads(path.read_bytes())
        values.pop("digest")
        if (kept := change(Event(**values))) is not None:
            events.append(kept)
        path.unlink()
    previous = FIRST
    for number, event in enumerate(events, start=1):
        written = replace(event, number=number, previous=previous)
        (folder / "events" / f"{number:08d}.json").write_bytes(written.to_bytes())
        previous = written.digest
    head = folder / "head.json"
    head.unlink(missing_ok=True)
    if events:
        head.write_bytes(canonical_json({"number": len(events), "digest": previous}) + b"\n")
