"""Operations on the policy of a registry's use case: set, propose, approve."""

from almanac.core.errors import RegistryError
from governance.registry.identity import TYPED, Signer
from governance.registry.policy import Policy
from governance.registry.state import WHOLE, State
from governance.registry.writer import Proposal, Writer


class Legislation(Writer):
    """The part of a registry that changes its policy."""

    def set_policy(self, use_case: str, policy: Policy, *, who: str, why: str) -> str:
        """Set a policy where none asks for approvals yet, otherwise propose it.

        Args:
            use_case: the use case, which may have no version yet.
            policy: the policy.
            who: who sets or proposes it.
            why: the reason, kept in the event.

        Returns:
            `set`, `proposed`, or `unchanged` if the policy holds, or waits for its approval, already.
        """
        self._prepare(use_case, new=True)
        outcome = ""

        def propose(state: State) -> Proposal:
            nonlocal outcome
            waits = state.proposal is not None and state.proposal.policy == policy
            if waits or (state.policy == policy and state.policy_source == "person"):
                outcome = "unchanged"
                return None
            if state.in_force().approval == "none" and (state.policy is not None or not state.versions):
                outcome = "set"
                return "policy_set", WHOLE, {"policy": policy.to_dict(), "source": "person"}
            outcome = "proposed"
            return "policy_proposed", WHOLE, {"policy": policy.to_dict()}

        self._transact(use_case, who, why, propose)
        return outcome

    def approve_policy(self, use_case: str, digest: str, *, who: str, why: str, signer: Signer | None = None) -> None:
        """Approve the proposed policy, which then holds; its proposer cannot.

        Args:
            use_case: the use case.
            digest: the sha256 of the proposed policy, as the approver read it.
            who: the approver.
            why: the reason, kept in the event.
            signer: proves who it is.

        Raises:
            RegistryError: nothing is proposed, something else is, or this person may not approve it.
        """
        self._prepare(use_case)
        typed = {"identity": {"kind": TYPED}} if signer is None else {}

        def propose(state: State) -> Proposal:
            if state.proposal is None:
                raise RegistryError(f"{use_case}: there is no proposed policy to approve")
            detail = {"proposal": state.proposal.event, "policy": digest, **typed}
            return "policy_approved", WHOLE, detail

        self._transact(use_case, who, why, propose, signer)
