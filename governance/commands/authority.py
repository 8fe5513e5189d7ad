"""Commands on a registry's authority: its policy, its verification and its checkpoints."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.errors import RegistryError
from almanac.core.files import pretty_json, write_text
from governance.commands.common import (
    AsJson,
    By,
    Key,
    Url,
    UseCase,
    UseCases,
    Via,
    Why,
    author,
    emit,
    example,
    open_registry,
    reason,
    registry_app,
    who,
)
from governance.envelope import fingerprint
from governance.registry.checkpoint import check_checkpoint, make_checkpoint
from governance.registry.policy import Policy, read_policy
from governance.registry.state import State

PublicKey = Annotated[
    Path | None, typer.Option("--public-key", metavar="PEM", help="The key that must have signed the checkpoint.")
]


@registry_app.command(epilog=example('almanac registry policy demand --set policy.yaml --why "two pairs of eyes"'))
def policy(
    use_case: UseCase,
    file: Annotated[Path | None, typer.Option("--set", metavar="YAML", help="Set or propose this policy.")] = None,
    digest: Annotated[str, typer.Option("--approve", metavar="DIGEST", help="Approve the proposed policy.")] = "",
    by: By = "",
    why: Why = "",
    key: Key = None,
    via: Via = "key",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Show, set or approve the policy of a use case: who must approve a promotion to production.

    A policy that asks for approvals is changed by a proposal and somebody else's approval of it.
    """
    store = open_registry(registry)
    if file and digest:
        raise RegistryError("--set and --approve: expected one of them")
    outcome = ""
    if file:
        outcome = store.set_policy(use_case, read_policy(file), who=who(by), why=reason(why))
    elif digest:
        person, signer = author(by, key, via)
        whole = _whole(store.registered(use_case), digest)
        store.approve_policy(use_case, whole, who=person, why=reason(why), signer=signer)
        outcome = "approved"
    state = store.registered(use_case)
    emit(
        {**_policy(state), "outcome": outcome or None},
        [*([f"{use_case}: {outcome}"] if outcome else []), *_lines(state)],
        as_json,
    )


@registry_app.command("verify", epilog=example("almanac registry verify --checkpoint checkpoint.json"))
def verify_registry(
    use_case: UseCases = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="Refuse a log that lacks what this file notes.")
    ] = None,
    public_key: PublicKey = None,
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Verify every event, and every byte of every version and published copy."""
    store = open_registry(registry)
    # First, as a chain that was removed altogether is no use case any more.
    noted, signer = check_checkpoint(store, checkpoint, public_key) if checkpoint else ({}, "")
    states = [store.verify(name) for name in ([use_case] if use_case else store.use_cases())]
    rows = [
        {
            "use_case": state.use_case,
            "events": len(state.digests),
            "versions": len(state.versions),
            **state.stages(),
            **({"checkpoint": noted.get(state.use_case)} if checkpoint else {}),
        }
        for state in states
    ]
    lines = [f"{row['use_case']}: {row['events']} events and {row['versions']} versions verified" for row in rows]
    if checkpoint:
        lines += [f"{name}: unchanged up to event {number} of the checkpoint" for name, number in noted.items()]
        lines.append(f"checkpoint signed with {signer}")
    emit(rows, lines, as_json)


@registry_app.command(epilog=example("almanac registry checkpoint --key auditor.pem --out checkpoint.json"))
def checkpoint(
    use_case: UseCases = None,
    out: Annotated[Path, typer.Option(help="File to write; keep it outside the registry.")] = Path("checkpoint.json"),
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="PEM", help="Private key that signs; ALMANAC_SIGNING_KEY, or the user's."),
    ] = None,
    registry: Url = "",
) -> None:
    """Write a signed note of the newest event of each use case.

    `almanac registry verify --checkpoint` later shows whether the log was shortened or rewritten.
    """
    from governance.signing import signing_key

    store = open_registry(registry)
    value = make_checkpoint(store, datetime.now(UTC), key or signing_key(), use_case)
    write_text(out, pretty_json(value))
    heads = ", ".join(f"{name} at event {head['number']}" for name, head in value["heads"].items())
    typer.echo(f"{out}: {heads}; key {fingerprint(value['public_key'])[:12]}…")


def _whole(state: State, digest: str) -> str:
    """Return the whole digest of the proposed policy, of which people may give the first 12 digits."""
    if state.proposal and len(digest) >= 12 and state.proposal.policy.digest.startswith(digest):
        return state.proposal.policy.digest
    return digest


def _policy(state: State) -> dict[str, Any]:
    force, proposal = state.in_force(), state.proposal
    waits = (
        {"policy": proposal.policy.to_dict(), "digest": proposal.policy.digest, "who": proposal.who}
        if proposal
        else None
    )
    source = state.policy_source or "the registrations of an earlier release"
    return {
        "use_case": state.use_case,
        "policy": force.to_dict(),
        "digest": force.digest,
        "source": source,
        "proposed": waits,
    }


def _lines(state: State) -> list[str]:
    force = state.in_force()
    lines = [f"{name}: {value}" for name, value in _told(force)]
    lines.append(f"set by: {state.policy_source or 'the registrations of an earlier release'}")
    if state.proposal:
        lines.append(f"proposed by {state.proposal.who}, digest {state.proposal.policy.digest}:")
        lines += [f"  {name}: {value}" for name, value in _told(state.proposal.policy)]
    return lines


def _told(policy: Policy) -> list[tuple[str, str]]:
    keys = [
        (name, ", ".join(f"{holder} {fingerprint(pem)[:12]}…" for holder, pem in getattr(policy, name).items()) or "-")
        for name in ("people", "attesters", "signers")
    ]
    approvers = ", ".join(policy.approvers) or "anybody but the proposer"
    return [("approval", policy.approval), ("identity", policy.identity), ("approvers", approvers), *keys]
