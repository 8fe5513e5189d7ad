"""Check of a bundle against the registry: its event chain, its version and its published copy."""

from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import read_json, sha256_file
from governance.documents.layout import FOLDER, MANIFEST, REGISTRATION
from governance.registry import Registry, release_checks
from governance.registry.published import check_copies, list_copies

#: Record of the runner: steps, libraries, registry, and the sha256 of every file of the run.
RECORD = "run.json"


def recorded_registry(run: Path | None, use_case: str) -> tuple[str | None, str]:
    """Return the registry of a run, or None and the reason why its chain cannot be read here.

    Args:
        run: the run directory, if there is one.
        use_case: name of the use case.
    """
    url = read_json(run / RECORD).get("registry") if run is not None and (run / RECORD).is_file() else None
    if not url:
        return None, "no run.json records a registry"
    try:
        names = Registry(url).store.keys(f"use_cases/{use_case}")
    except (RegistryError, OSError, ImportError) as error:
        return None, f"the run's registry {url} cannot be read ({error})"
    return (url, "") if names else (None, f"the run's registry {url} holds nothing of {use_case} any more")


def check_chain(url: str, registration: dict[str, Any], folder: Path) -> int:
    """Check that a registry's chain is complete and that it registered this version with these documents.

    Args:
        url: the registry.
        registration: registration.json.
        folder: the governance directory.

    Returns:
        The number of events.

    Raises:
        RegistryError: the first broken link, named.
    """
    # A new registry object: one that was read before would not look at its old events again.
    registry, use_case, number = Registry(url), registration["use_case"], registration["version"]
    names, copies = release_checks.event_names(registry.store, use_case), list_copies(registry.store, use_case)
    state, entry = registry.state(use_case), registry.version(use_case, number)
    release_checks.check_event_names(registry.store, use_case, names, state)
    event = registration["event"]
    if state.digests.get(event["number"]) != event["digest"]:
        raise RegistryError(f"{REGISTRATION}: event {event['number']} is not the one in {url}")
    release_checks.check_version(registry.store, use_case, entry)
    # Only this version's copy: another version's damage is for `registry verify` to find.
    copy = {model: paths for model, paths in copies.items() if model == entry.model}
    check_copies(registry.store, use_case, copy, registry.log(use_case))
    documents = registry.files(use_case, number).get(f"{FOLDER}/{MANIFEST}")
    if documents and documents["sha256"] != sha256_file(folder / MANIFEST):
        raise RegistryError(f"{FOLDER}/{MANIFEST}: not the documents that version {number} was registered with")
    return len(state.digests)
