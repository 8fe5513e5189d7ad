"""Transitions of the policy: set while it asks for no approval, else proposed by one person, approved by another."""

from dataclasses import replace

from almanac.core.errors import RegistryError
from governance.registry.events import Event
from governance.registry.policy import Policy, parse_policy
from governance.registry.stages import check_approver
from governance.registry.state import WHOLE, Proposal, State, detail_of

SOURCES = ("registration", "person")


def policy_set(state: State, event: Event) -> State:
    """Set the policy without an approval: the first one, or in place of one that asks for none.

    In a chain of the first release the first policy is the strictest that its versions were registered with: another
    one would be a change, and a change needs its approval.
    """
    policy, source = _policy(event), detail_of(event, "source")["source"]
    if source not in SOURCES:
        raise RegistryError(f"{event.kind}: source is {source!r}; expected registration or person")
    force = state.in_force()
    if state.policy is None and state.versions and policy != force:
        raise RegistryError(
            f"the versions were registered with approval {force.approval}; the first policy must say the same"
        )
    # Where no approval is asked for, one person may promote anything; two for a stricter rule would not help.
    if state.policy is not None and force.approval != "none":
        raise RegistryError("the policy asks for approvals; a change is proposed by one person and approved by another")
    return replace(state, policy=policy, policy_source=source, proposal=None)


def policy_proposed(state: State, event: Event) -> State:
    """Propose another policy; it replaces an earlier proposal."""
    return replace(state, proposal=Proposal(event.number, _policy(event), event.who))


def policy_approved(state: State, event: Event) -> State:
    """Approve the proposed policy, which then holds."""
    detail, proposal = detail_of(event, "proposal", "policy"), state.proposal
    if proposal is None:
        raise RegistryError("there is no proposed policy to approve")
    # By event and content: an approval must not reach a proposal that came while somebody was reading.
    if (detail["proposal"], detail["policy"]) != (proposal.event, proposal.policy.digest):
        raise RegistryError(f"the proposed policy is that of event {proposal.event}; look again before approving")
    check_approver(state, event, proposal.who, "the policy")
    return replace(state, policy=proposal.policy, policy_source="person", proposal=None)


def _policy(event: Event) -> Policy:
    if event.version != WHOLE:
        raise RegistryError(f"{event.kind}: is about version {event.version}; a policy is of the whole use case")
    policy = parse_policy(detail_of(event, "policy")["policy"], event.kind)
    # Another spelling of the same policy would have another digest than the one that people compare.
    if policy.to_dict() != event.detail["policy"]:
        raise RegistryError(f"{event.kind}: the policy is not in the form in which it is written")
    return policy
