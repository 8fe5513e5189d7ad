"""Published copies of model directories, one for each model digest, which KServe's storage initializer downloads.

A copy's manifest.json is written after the model's other files, so that a copy with a manifest is complete. Signatures
are in signature/, each named by the first digits of the sha256 of its signer's key.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes
from governance.dsse import SIGNER_DIGITS
from governance.registry.events import Event
from governance.registry.store import Store
from governance.registry.versions import put_immutable, read_blob, read_manifest

_MODEL, _MANIFEST = "model/", "manifest.json"
_SIGNATURE = "governance/model."
_SIGNATURES = "signature/"


def publish(store: Store, use_case: str, model: str, files: Mapping[str, Any]) -> str:
    """Copy a version's model directory and signature to their published location, and return its URL.

    Args:
        store: the registry's store.
        use_case: name of the use case.
        model: the model's digest.
        files: path -> {"sha256"} of the version's files.

    Raises:
        RegistryError: a blob or a file of the copy that does not match its sha256.
    """
    folder = _folder(use_case, model)
    for path, (name, digest) in _layout(files).items():
        data = read_blob(store, name, digest)
        if path.startswith(_SIGNATURES):
            # Two versions of one model may have two signatures of one key, each of which holds for the same files.
            with suppress(FileExistsError):
                store.create(f"{folder}/{path}", data)
        else:
            put_immutable(store, f"{folder}/{path}", data)
    return f"{store.url}/{folder}"


def list_copies(store: Store, use_case: str) -> dict[str, list[str]]:
    """Return model digest -> paths of its copy; call it before reading the events, as others may publish meanwhile."""
    copies: dict[str, list[str]] = {}
    for path in store.tree(_folder(use_case)):
        model, _, name = path.partition("/")
        copies.setdefault(model, []).append(name)
    return copies


def check_copies(store: Store, use_case: str, copies: Mapping[str, Iterable[str]], events: Iterable[Event]) -> None:
    """Read every byte of the copies and compare it with the registered versions.

    Args:
        store: the registry's store.
        use_case: name of the use case.
        copies: the copies to check, from `list_copies`.
        events: the use case's events.

    Raises:
        RegistryError: the first file that is missing, altered or in no version.
    """
    expected = _expected(store, use_case, copies, events)
    for model, paths in copies.items():
        if model not in expected:
            raise RegistryError(f"{store.url}/{_folder(use_case, model)}: published, but no version has this model")
        listed = set(paths)
        if _MANIFEST in listed:  # otherwise a writer is still at work
            listed |= {path for path, allowed in expected[model].items() if _of_model(allowed)}
        for path in sorted(listed):
            _check_file(store, f"{_folder(use_case, model)}/{path}", expected[model].get(path, {}))


#: Path in a copy -> allowed sha256 -> file of the version; versions of one model may have different signatures.
_Expected = dict[str, dict[str, str]]


def _expected(store: Store, use_case: str, copies: Mapping[str, Any], events: Iterable[Event]) -> dict[str, _Expected]:
    models: dict[int, str] = {}
    expected: dict[str, _Expected] = {}
    for event in events:
        if event.kind == "registered":
            models[event.version] = event.detail["model"]
        model = models.get(event.version, "")
        if event.kind in ("registered", "documented") and model in copies:
            files = read_manifest(store, use_case, event.detail["manifest"])["files"]
            for path, (name, digest) in _layout(files).items():
                expected.setdefault(model, {}).setdefault(path, {})[digest] = name
    return expected


def _layout(files: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return path in the copy -> (file of the version, sha256), in the order in which they are written."""
    model = {name: item["sha256"] for name, item in files.items() if name.startswith(_MODEL)}
    # The manifest last: a copy that has one is complete.
    ordered = sorted(model, key=lambda name: (name == _MODEL + _MANIFEST, name))
    layout = {name.removeprefix(_MODEL): (name, model[name]) for name in ordered}
    if f"{_SIGNATURE}sig" in files:
        signer = files.get(f"{_SIGNATURE}pub", files[f"{_SIGNATURE}sig"])["sha256"][:SIGNER_DIGITS]
        for suffix in ("pub", "sig"):
            if item := files.get(f"{_SIGNATURE}{suffix}"):
                layout[f"{_SIGNATURES}{signer}.{suffix}"] = (f"{_SIGNATURE}{suffix}", item["sha256"])
    return layout


def _of_model(allowed: Mapping[str, str]) -> bool:
    return any(name.startswith(_MODEL) for name in allowed.values())


def _check_file(store: Store, key: str, allowed: Mapping[str, str]) -> None:
    if not allowed:
        raise RegistryError(f"{store.url}/{key}: published, but not a file of that version")
    name = next(iter(allowed.values()))
    try:
        digest = sha256_bytes(store.read(key))
    except FileNotFoundError as error:
        raise RegistryError(f"{store.url}/{key}: missing; publish the version again") from error
    if digest not in allowed:
        raise RegistryError(
            f"{store.url}/{key}: the published copy of {name} was altered; its sha256 is {digest[:12]}…"
        )


def _folder(use_case: str, model: str = "") -> str:
    return f"use_cases/{use_case}/models/{model}".rstrip("/")
