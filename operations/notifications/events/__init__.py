"""Events that people wait for, one module a kind.

Each has a function that yields a message for every event of its kind that is news in the history; which of them were
sent before is known by the delivery.
"""

from collections.abc import Callable, Iterator
from types import MappingProxyType

from operations.notifications.events.agent_acted import agent_acted
from operations.notifications.events.agent_gave_up import agent_gave_up
from operations.notifications.events.approval_asked import approval_asked
from operations.notifications.events.gate_closed import gate_closed
from operations.notifications.events.promoted import promoted
from operations.notifications.events.rolled_back import rolled_back
from operations.notifications.events.run_failed import run_failed
from operations.notifications.events.schedule_missed import schedule_missed
from operations.notifications.message import Message
from operations.notifications.scene import Scene

#: Kind -> function that finds the events of it.
EVENTS: MappingProxyType[str, Callable[[Scene], Iterator[Message]]] = MappingProxyType(
    {
        "gate_closed": gate_closed,
        "approval_asked": approval_asked,
        "promoted": promoted,
        "rolled_back": rolled_back,
        "agent_acted": agent_acted,
        "agent_gave_up": agent_gave_up,
        "run_failed": run_failed,
        "schedule_missed": schedule_missed,
    }
)

__all__ = ["EVENTS"]
