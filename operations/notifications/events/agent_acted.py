"""An action that the agent has executed, or undone because it did not help."""

from collections.abc import Iterator

from operations.history.tables import ACTIONS
from operations.notifications.message import Message
from operations.notifications.scene import Scene, minute

_TITLES = {"finished": "The agent acted", "undone": "The agent undid an action that did not help"}


def agent_acted(scene: Scene) -> Iterator[Message]:
    """Yield a message for each action that was executed or undone."""
    for row in scene.rows(ACTIONS, "when"):
        if row["kind"] in _TITLES:
            yield Message(
                kind="agent_acted",
                use_case=scene.name,
                identity=f"journal/{row['number']}",
                title=f"{_TITLES[row['kind']]}: {row['why']}" if row["kind"] == "finished" else _TITLES[row["kind"]],
                lines=(f"By {row['who']}, {minute(row['when'])}, action {row['subject'][:12]}.",),
                link=scene.page_link("agent"),
                command=scene.command("agent", "actions", scene.name),
                when=row["when"],
                facts={"action": row["subject"], "state": row["kind"], "why": row["why"]},
            )
