"""Write access to a registry: register, document, approve, promote, roll back, publish."""

import random
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes
from governance.registry import release_checks
from governance.registry.events import Event, event_chain
from governance.registry.published import publish
from governance.registry.reader import Reader, check_name
from governance.registry.state import (
    POLICIES,
    State,
    Version,
    advance,
    may_promote,
    no_way_back,
    passed_over,
    rollback_history,
    same_person,
)
from governance.registry.versions import put_files, read_manifest

_PATIENCE_SECONDS = 120.0

#: Kind, version and detail of the event to write, or None if there is nothing to do.
_Proposal = tuple[str, int, dict[str, Any]] | None


class Registry(Reader):
    """A model registry on a directory, an S3 bucket or a Google bucket.

    Every change is one create-only put of the next event. A writer whose number is taken reads the new event, checks
    the rules again and tries the next number.

    Args:
        url: a path, `file://…`, `s3://bucket/prefix` or `gs://bucket/prefix`.
        clock: returns the time of events.
    """

    def __init__(self, url: str | Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(url)
        self._clock = clock
        self._probed = False

    def register(
        self,
        use_case: str,
        files: Mapping[str, Path],
        *,
        who: str,
        why: str,
        approval: str = "required",
    ) -> int:
        """Store a version and return its number; the same content registered again keeps its number.

        Args:
            use_case: the use case's name.
            files: path in the version -> file; `model/manifest.json` must be among them.
            who: the proposer.
            why: the reason, kept in the event.
            approval: `none` or `required`: whether production needs an approval by somebody else.

        Raises:
            RegistryError: a file is missing, the policy is unknown, or the store has no create-only put.
        """
        self._prepare(use_case)
        if approval not in POLICIES:
            raise RegistryError(f"approval is {approval!r}; expected none or required")
        if "model/manifest.json" not in files:
            raise RegistryError(f"{use_case}: model/manifest.json is missing from the files to register")
        # Imported here because a server opens the registry, too, and needs no documents.
        from governance.documents.kind import required_files

        passed = release_checks.gate_passed(files["gate.json"].read_bytes()) if "gate.json" in files else False
        # `metadata` is in the manifests of all versions; without it the same files would get another number.
        digest = put_files(self.store, use_case, files, {"metadata": {}, "approval": approval})
        detail = {
            "manifest": digest,
            "model": sha256_bytes(files["model/manifest.json"].read_bytes()),
            "approval": approval,
            "gate_passed": passed,
            "requires": required_files(),
        }

        def propose(state: State) -> _Proposal:
            if any(entry.manifest == digest for entry in state.versions.values()):
                return None
            return "registered", len(state.versions) + 1, detail

        state, _ = self._transact(use_case, who, why, propose)
        return next(entry.number for entry in state.versions.values() if entry.manifest == digest)

    def attach_documents(self, use_case: str, version: int, files: Mapping[str, Path], *, who: str, why: str) -> None:
        """Store a version's governance documents; approvals of earlier documents become void.

        Args:
            use_case: the use case's name.
            version: the version that the documents describe.
            files: `governance/<name>` -> file, with all that promotion requires.
            who: who wrote or generated them.
            why: the reason, kept in the event.

        Raises:
            RegistryError: documents that are incomplete, or that describe another version.
        """
        self._prepare(use_case)
        entry = self.version(use_case, version)
        listed = read_manifest(self.store, use_case, entry.manifest)["files"]
        release_checks.check_documents({name: path.read_bytes() for name, path in files.items()}, listed, entry)
        digest = put_files(self.store, use_case, files, {"version": version})

        def propose(state: State) -> _Proposal:
            done = state.version(version).documents == digest
            return None if done else ("documented", version, {"manifest": digest})

        self._transact(use_case, who, why, propose)

    def approve(self, use_case: str, version: int, *, who: str, why: str) -> bool:
        """Approve a version and its present documents for production; the proposer cannot.

        Returns:
            Whether an event was written; False if this person has approved them already.
        """
        self._prepare(use_case)
        bound = self.version(use_case, version)

        def propose(state: State) -> _Proposal:
            approved = any(same_person(who, one) for one in state.version(version).approvals)
            return None if approved else ("approved", version, _binding(bound))

        return self._transact(use_case, who, why, propose)[1]

    def reject(self, use_case: str, version: int, *, who: str, why: str) -> bool:
        """Reject a version for good; it can no longer be approved or promoted.

        Returns:
            Whether an event was written; False if the version was rejected before.
        """
        self._prepare(use_case)

        def propose(state: State) -> _Proposal:
            return None if state.version(version).rejected else ("rejected", version, {})

        return self._transact(use_case, who, why, propose)[1]

    def promote(self, use_case: str, version: int, stage: str = "production", *, who: str, why: str) -> bool:
        """Put a version into a stage; its previous version is archived.

        Returns:
            Whether an event was written; False if the version was in the stage already.

        Raises:
            RegistryError: unknown version or stage, no passed gate, incomplete documents, no approval where the
                version's policy asks for one, or a byte of the version that does not match its sha256.
        """
        self._prepare(use_case)
        bound = self.version(use_case, version)
        if stage in ("staging", "production"):
            may_promote(bound, stage)
            release_checks.check_version(self.store, use_case, bound, for_promotion=True)

        def propose(state: State) -> _Proposal:
            done = state.version(version).stage == stage
            return None if done else ("promoted", version, {**_binding(bound), "stage": stage})

        return self._transact(use_case, who, why, propose)[1]

    def demote(self, use_case: str, version: int, *, who: str, why: str) -> bool:
        """Take a version out of its stage and leave the stage empty.

        Returns:
            Whether an event was written; False if the version was taken out before.
        """
        self._prepare(use_case)
        before = self.version(use_case, version).stage

        def propose(state: State) -> _Proposal:
            done = before is not None and state.version(version).stage == "archived"
            return None if done else ("demoted", version, {"stage": before})

        return self._transact(use_case, who, why, propose)[1]

    def rollback(self, use_case: str, *, who: str, why: str) -> int:
        """Put the newest earlier production version that was not rejected back, and return its number.

        The event names the rejected versions that were passed over.

        Raises:
            RegistryError: there is no such version, its bytes do not verify, or production moved meanwhile.
        """
        self._prepare(use_case)
        start = self.registered(use_case)
        history = rollback_history(start)
        if not history:
            raise RegistryError(f"{use_case}: {no_way_back(start)}")
        target = start.version(history[-1])
        release_checks.check_version(self.store, use_case, target, for_promotion=True)

        def propose(state: State) -> _Proposal:
            if state.stages() != start.stages() or rollback_history(state) != history:
                raise RegistryError(
                    f"{use_case}: the stages or rejections changed meanwhile; look again before rolling back"
                )
            over = passed_over(state)
            return "rolled_back", target.number, _binding(target) | ({"passed_over": over} if over else {})

        self._transact(use_case, who, why, propose)
        return target.number

    def publish(self, use_case: str, selector: str | int) -> str:
        """Publish a version's model directory and return its URL, for KServe's `storageUri`.

        The URL follows from the model's digest, and its content never changes.
        """
        self._prepare(use_case)
        entry = self.version(use_case, selector)
        return publish(self.store, use_case, entry.model, self.files(use_case, entry.number))

    def _prepare(self, use_case: str) -> None:
        check_name(use_case)
        if not self._probed:
            # Once for each object only, as a probe costs several requests to the store.
            self.store.probe()
            self._probed = True

    def _transact(self, use_case: str, who: str, why: str, propose: Callable[[State], _Proposal]) -> tuple[State, bool]:
        """Write the proposed event; if its number is taken, propose again from the new state.

        Returns:
            The new state, and whether an event was written.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            state = self.state(use_case)
            proposal = propose(state)
            if proposal is None:
                return state, False
            event = self._event(state, who, why, *proposal)
            after = advance(state, event)
            if event_chain(self.store, use_case).append(event):
                self._states[use_case] = after
                return after, True
            time.sleep(random.uniform(0, 0.02))  # noqa: S311 - spreads the retries, nothing secret
        raise RegistryError(f"{use_case}: other writers took every event number for {_PATIENCE_SECONDS:.0f} s; retry")

    def _event(self, state: State, who: str, why: str, kind: str, version: int, detail: dict[str, Any]) -> Event:
        number, previous = event_chain(self.store, state.use_case).next(state.last)
        when = self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        # Without it two writers could write equal bytes, and `append` would take the other's event for its own.
        identity = uuid.uuid4().hex
        return Event(number, state.use_case, kind, version, who.strip(), when, why.strip(), previous, identity, detail)


def _binding(entry: Version) -> dict[str, Any]:
    # Read before the event is written: `advance` refuses it if the documents were exchanged meanwhile.
    return {"manifest": entry.manifest, "documents": entry.documents}
