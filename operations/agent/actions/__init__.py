"""Actions that the agent can take, one module an action.

An action observes what it is about to change, changes it, can tell whether the change is there, and undoes it, or says
that it has no inverse. Before it is begun, an entry of the journal states the intent; so an agent that was killed asks
`done` and goes on without doing anything twice. An action from another package is registered by an entry point of
the group `almanac.actions`.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from almanac.core.errors import AgentError
from almanac.core.kinds import Kinds

if TYPE_CHECKING:
    from operations.agent.site import Site

__all__ = ["ACTIONS", "Action", "Values"]

Values = dict[str, Any]


class Action(ABC):
    """An action on a use case.

    Attributes:
        name: by which policies and entries name it.
        title: for people.
        risk: safe, or risky: a risky one is executed only after the approval of a person.
        inverse: how it is undone, or that it has no inverse.
        reversible: whether `undo` does something.
        mends: whether it can mend the cause; after one that only looks closer or limits the damage the next follows.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    risk: ClassVar[Literal["safe", "risky"]] = "safe"
    inverse: ClassVar[str]
    reversible: ClassVar[bool] = True
    mends: ClassVar[bool] = True

    @abstractmethod
    def plan(self, site: "Site", cause: str) -> Values | None:
        """Return the parameters of the action for a cause; None where it does not apply to this use case now."""

    def observe(self, site: "Site", parameters: Values) -> Values:
        """Return the values that the action is about to change, for `undo`."""
        return {}

    @abstractmethod
    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        """Execute the action, and return facts for the journal.

        Args:
            site: where.
            parameters: as planned.
            before: as observed.
            key: digest of the action; the other side may know by it that an order is repeated.

        Raises:
            AlmanacError: it was refused or did not work.
        """

    @abstractmethod
    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        """Return whether an action that was begun is carried out."""

    def undo(self, site: "Site", parameters: Values, before: Values, key: str) -> None:
        """Restore the observed values; repeating it changes nothing."""
        raise AgentError(f"{self.name} has no inverse: {self.inverse}")

    def approved(self, site: "Site", parameters: Values) -> bool | None:
        """Return whether another log has the approval of the action; None where the journal has it."""
        return None

    def recall(self, site: "Site", parameters: Values) -> Values:
        """Return the facts of an action that was carried out before the agent was killed.

        Raises:
            AlmanacError: it was carried out and failed.
        """
        return {}

    def going_on(self, site: "Site", result: Values) -> bool:
        """Return whether its effect cannot be judged yet, since a run that it started has not ended."""
        return False

    def helped(self, site: "Site", result: Values) -> bool | None:
        """Return whether its own result proves that it helped; None where the evidence has to."""
        return None


#: Every action by name.
ACTIONS: Kinds[Action] = Kinds("action", "operations.agent.actions", "almanac.actions")
