"""Write access to a registry: register, document, approve, promote, roll back, publish."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes
from almanac.core.people import same_person
from governance.registry import release_checks
from governance.registry.evidence import check_signed, check_stated
from governance.registry.identity import TYPED, Signer
from governance.registry.labelling import Labelling
from governance.registry.legislation import Legislation
from governance.registry.policy import APPROVALS, stricter
from governance.registry.published import publish
from governance.registry.stages import may_promote, no_way_back, passed_over, rollback_history
from governance.registry.state import State, Version
from governance.registry.versions import manifest_bytes, put_blobs, put_files, put_manifest, read_manifest
from governance.registry.writer import Proposal


class Registry(Legislation, Labelling):
    """A model registry on a directory, an S3 bucket or a Google bucket.

    Args:
        url: a path, `file://…`, `s3://bucket/prefix` or `gs://bucket/prefix`.
        clock: returns the time of events.
    """

    def register(
        self,
        use_case: str,
        files: Mapping[str, Path],
        *,
        who: str,
        why: str,
        approval: str = "required",
        use_case_digest: str = "",
    ) -> int:
        """Store a version and return its number; the same content registered again keeps its number.

        Args:
            use_case: the use case's name.
            files: path in the version -> file; `model/manifest.json` must be among them.
            who: the proposer.
            why: the reason, kept in the event.
            approval: `none` or `required`: whether production needs an approval by somebody else. The registry's policy
                can make it stricter; the first version of a use case founds that policy.
            use_case_digest: sha256 of the use case, where other words about the same model are another version.

        Raises:
            RegistryError: a file is missing, the approval is unknown, or the store has no create-only put.
        """
        if approval not in APPROVALS:
            raise RegistryError(f"approval is {approval!r}; expected none or required")
        self._prepare(use_case, new=True)
        if "model/manifest.json" not in files:
            raise RegistryError(f"{use_case}: model/manifest.json is missing from the files to register")
        # Imported here because a server opens the registry, too, and needs no documents.
        from governance.documents.kind import required_files

        passed = release_checks.gate_passed(files["gate.json"].read_bytes()) if "gate.json" in files else False
        model, requires = sha256_bytes(files["model/manifest.json"].read_bytes()), required_files()
        listed = put_blobs(self.store, files)
        bodies = _manifests(use_case, listed, use_case_digest)
        digests = {sha256_bytes(body) for body in bodies.values()}

        def same(state: State) -> Version | None:
            """Return the version of this content, if its rule on approvals is as strict as the caller's."""
            twins = (entry for entry in state.versions.values() if entry.manifest in digests)
            return next((entry for entry in twins if approval == "none" or state.needs_approval(entry)), None)

        def propose(state: State) -> Proposal:
            if same(state):
                return None
            # Asked in each attempt, as the policy may change between two of them.
            rule = stricter(approval, state.in_force().approval)
            detail: dict[str, Any] = {"manifest": put_manifest(self.store, use_case, bodies[rule]), "model": model}
            detail |= {"approval": rule, "gate_passed": passed, "requires": requires}
            return "registered", len(state.versions) + 1, detail

        state, written = self._transact(use_case, who, why, propose, approval=approval)
        return len(state.versions) if written else cast(Version, same(state)).number

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

        def propose(state: State) -> Proposal:
            done = state.version(version).documents == digest
            return None if done else ("documented", version, {"manifest": digest})

        self._transact(use_case, who, why, propose)

    def approve(self, use_case: str, version: int, *, who: str, why: str, signer: Signer | None = None) -> bool:
        """Approve a version and its present documents for production; the proposer cannot.

        Args:
            use_case: the use case's name.
            version: the version.
            who: the approver.
            why: the reason, kept in the event.
            signer: proves who it is; without it the name is a typed one, which the policy may not count.

        Returns:
            Whether an event was written; False if this person has approved them already, with no weaker proof, and the
            policy in force counts it.
        """
        self._prepare(use_case)
        bound = self.version(use_case, version)
        kinds = {TYPED} if signer is None else {signer.kind}

        def propose(state: State) -> Proposal:
            # One that the policy no longer counts is given again, so that the rules say what it lacks.
            done = any(
                same_person(who, each.who) and (signer is None or each.identity in kinds)
                for each in state.counted(state.version(version))
            )
            return None if done else ("approved", version, _binding(bound) | _typed(signer))

        return self._transact(use_case, who, why, propose, signer)[1]

    def reject(self, use_case: str, version: int, *, who: str, why: str, signer: Signer | None = None) -> bool:
        """Reject a version for good; it can no longer be approved or promoted, and loses its aliases.

        Returns:
            Whether an event was written; False if the version was rejected before.
        """
        self._prepare(use_case)

        def propose(state: State) -> Proposal:
            return None if state.version(version).rejected else ("rejected", version, _typed(signer))

        return self._transact(use_case, who, why, propose, signer)[1]

    def promote(self, use_case: str, version: int, stage: str = "production", *, who: str, why: str) -> bool:
        """Put a version into a stage; its previous version is archived.

        Returns:
            Whether an event was written; False if the version was in the stage already.

        Raises:
            RegistryError: unknown version or stage, no passed gate, incomplete documents, no approval where the
                version or the policy asks for one, no signature with a key that the policy pins, or a byte of the
                version that does not match its sha256.
        """
        self._prepare(use_case)
        bound = self.version(use_case, version)
        if stage in ("staging", "production"):
            may_promote(self.state(use_case), bound, stage)
            self._check_bytes(use_case, bound, stage)

        def propose(state: State) -> Proposal:
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

        def propose(state: State) -> Proposal:
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
        self._check_bytes(use_case, target)

        def propose(state: State) -> Proposal:
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

        Raises:
            RegistryError: a rejected version, which no server may load, or a byte that does not match its sha256.
        """
        self._prepare(use_case)
        entry = self.version(use_case, selector)
        if entry.rejected:
            raise RegistryError(f"{use_case} version {entry.number} was rejected by {entry.rejected}; not published")
        return publish(self.store, use_case, entry.model, self.files(use_case, entry.number))

    def _check_bytes(self, use_case: str, entry: Version, stage: str = "production") -> None:
        release_checks.check_version(self.store, use_case, entry, for_promotion=True)
        state = self.state(use_case)
        if stage == "production" and state.needs_documents(entry):
            check_stated(self.store, use_case, entry)
        if state.in_force().signers:
            check_signed(self.store, state, entry)


def _manifests(use_case: str, listed: Mapping[str, Any], use_case_digest: str) -> dict[str, bytes]:
    """Return the manifest of a version for each rule on its approval."""
    # `metadata` is in the manifests of all versions; without it the same files would get another number.
    metadata = {"use_case_digest": use_case_digest} if use_case_digest else {}
    return {rule: manifest_bytes(use_case, listed, {"metadata": metadata, "approval": rule}) for rule in APPROVALS}


def _binding(entry: Version) -> dict[str, Any]:
    # Read before the event is written: `advance` refuses it if the documents were exchanged meanwhile.
    return {"manifest": entry.manifest, "documents": entry.documents}


def _typed(signer: Signer | None) -> dict[str, Any]:
    # Said in the event, so that nobody takes a typed name for a proven one; a signer says its own kind.
    return {"identity": {"kind": TYPED}} if signer is None else {}
