"""Policies of the registry: who decides what goes to production."""

from collections.abc import Iterator

from governance.registry import Registry
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, ok, warning


def _look(patient: Patient) -> Iterator[Finding]:
    registry = Registry(patient.registry)
    for name in registry.use_cases():
        policy = registry.policy(name)
        missing = []
        if policy.approval != "required":
            missing.append("a version goes to production without an approval")
        if not policy.signers:
            missing.append("no signing key is pinned, so that whoever writes to the store can sign")
        if missing:
            yield warning(f"{name}: {'; '.join(missing)}", f"`almanac registry policy {name} --set FILE`")
        else:
            yield ok(f"{name}: approvals are required, and {len(policy.signers)} signing keys are pinned")


KIND = Check("policy", "Does the registry ask for an approval, and does it pin the keys that sign?", _look)
