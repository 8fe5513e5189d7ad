"""Writing of events: one create-only put of the next number, and another try if somebody else took it."""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.people import check_person
from almanac.core.texts import printable
from governance.registry.events import Event, event_chain, time_text
from governance.registry.evidence import check_evidence
from governance.registry.fold import CLOCK_TOLERANCE, advance
from governance.registry.identity import Signer
from governance.registry.policy import Policy, stricter
from governance.registry.reader import Reader, check_name
from governance.registry.state import WHOLE, State

_PATIENCE_SECONDS = 120.0

#: Kind, version and detail of the event to write, or None if there is nothing to do.
Proposal = tuple[str, int, dict[str, Any]] | None
Propose = Callable[[State], Proposal]


class Writer(Reader):
    """A registry that can be written; the base of its operations.

    Every change is one create-only put of the next event. A writer whose number is taken reads the new event, checks
    the rules again and tries the next number.
    """

    def __init__(self, url: str | Path, clock: Callable[[], datetime] | None = None) -> None:
        super().__init__(url, *([clock] if clock else []))
        self._probed = False

    def _prepare(self, use_case: str, new: bool = False) -> None:
        """Check that the store can be written; a use case that is not new must exist.

        Raises:
            RegistryError: a bad name, nothing registered, or a store without a create-only put.
        """
        check_name(use_case)
        if not new:
            # Before the probe, which would make a registry of a mistyped path.
            self.registered(use_case)
        if not self._probed:
            # Once for each object only, as a probe costs several requests to the store.
            self.store.probe()
            self._probed = True

    def _transact(
        self,
        use_case: str,
        who: str,
        why: str,
        propose: Propose,
        signer: Signer | None = None,
        approval: str | None = None,
    ) -> tuple[State, bool]:
        """Write the proposed event; if its number is taken, propose again from the new state.

        Args:
            use_case: the use case.
            who: who does it.
            why: the reason.
            propose: returns the event to write after a state.
            signer: signs the event.
            approval: `none` or `required` of a registration, which its use case's first policy follows.

        Returns:
            The new state, and whether an event was written.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            state = self.state(use_case)
            proposal = propose(state)
            if proposal is None:
                return state, False
            # Each event counts by itself: after the policy's, the loop goes on with the event that was asked for.
            founding = first_policy(state, proposal[0], approval)
            if founding is not None:
                self._write(state, who, _FOUNDED, founding)
            elif after := self._write(state, who, why, proposal, signer):
                return after, True
            else:
                time.sleep(random.uniform(0, 0.02))  # noqa: S311 - spreads the retries, nothing secret
        raise RegistryError(f"{use_case}: other writers took every event number for {_PATIENCE_SECONDS:.0f} s; retry")

    def _write(
        self,
        state: State,
        who: str,
        why: str,
        proposal: tuple[str, int, dict[str, Any]],
        signer: Signer | None = None,
    ) -> State | None:
        """Write the event after a state, and return the state after it; None if its number was taken."""
        event = self._event(state, who, why, *proposal)
        if signer is not None:
            event = signer.sign(event)
        after = advance(state, event)
        # What a reader would refuse must never be written: it would stop the whole use case.
        check_evidence(self.store, after, event)
        if not event_chain(self.store, state.use_case).append(event):
            return None
        # Kept, as reading the own event again would cost a request.
        self._states[state.use_case] = after
        return after

    def _event(self, state: State, who: str, why: str, kind: str, version: int, detail: dict[str, Any]) -> Event:
        number, previous = event_chain(self.store, state.use_case).next(state.last)
        # Without it two writers could write equal bytes, and `append` would take the other's event for its own.
        identity = uuid.uuid4().hex
        who = check_person(who) if who.strip() else ""
        when = time_text(self._clock())
        why = printable(why).strip()
        event = Event(number, state.use_case, kind, version, who, when, why, previous, identity, detail)
        # Said here with the remedy; the rules would refuse the event as well, with the words for a forged one.
        if state.latest is not None and state.latest - event.time > CLOCK_TOLERANCE:
            raise RegistryError(
                f"{state.use_case}: this machine's clock says {when}, and an earlier event is of "
                f"{time_text(state.latest)}; set the clock"
            )
        return event


_FOUNDED = "the registry keeps the policy of its use case from here on"


def first_policy(state: State, kind: str, approval: str | None) -> Proposal:
    """Return the event that gives a use case its policy, or raises it with a registration; None if there is no need.

    A chain without a policy gets the strictest that its versions were registered with, or that of the first version.
    Where nobody has set a policy, a registration that asks for an approval binds those that follow: a run on a laptop
    cannot go past the approvals of the cluster.
    """
    if kind == "policy_set":
        return None
    force = state.in_force()
    strictest = force if approval is None else replace(force, approval=stricter(force.approval, approval))
    if state.policy is None:
        # A chain with versions is held to what they say; only an empty one takes what its first registration asks for.
        return _set(force if state.versions else strictest)
    if state.policy_source == "registration" and strictest != force:
        return _set(strictest)
    return None


def _set(policy: Policy) -> Proposal:
    return "policy_set", WHOLE, {"policy": policy.to_dict(), "source": "registration"}
