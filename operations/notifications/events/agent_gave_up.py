"""An alarm to which the agent has no answer, or an action that failed."""

from collections.abc import Iterator

from operations.history.tables import ACTIONS
from operations.notifications.message import Message
from operations.notifications.scene import Scene, minute

_TITLES = {"gave_up": "The agent gave up", "failed": "An action of the agent failed"}


def agent_gave_up(scene: Scene) -> Iterator[Message]:
    """Yield a message for everything that the agent leaves to a person."""
    for row in scene.rows(ACTIONS, "when"):
        if row["kind"] in _TITLES:
            yield Message(
                kind="agent_gave_up",
                use_case=scene.name,
                identity=f"journal/{row['number']}",
                title=_TITLES[row["kind"]],
                lines=(f"{row['why'].rstrip('.')}.", f"By {row['who']}, {minute(row['when'])}."),
                link=scene.page_link("agent"),
                command=scene.command("agent", "actions", scene.name),
                when=row["when"],
                facts={"subject": row["subject"], "state": row["kind"], "why": row["why"]},
            )
