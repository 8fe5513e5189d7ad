"""Production that went back to an earlier version."""

from collections.abc import Iterator

from operations.history.tables import EVENTS
from operations.notifications.message import Message
from operations.notifications.scene import Scene, minute


def rolled_back(scene: Scene) -> Iterator[Message]:
    """Yield a message for each rollback."""
    for event in scene.rows(EVENTS, "when"):
        if event["kind"] == "rolled_back":
            number = event["version"]
            yield Message(
                kind="rolled_back",
                use_case=scene.name,
                identity=event["digest"],
                title=f"Production went back to version {number}",
                lines=(f"By {event['who']}, {minute(event['when'])}: {event['why']}",),
                link=scene.page_link("versions"),
                command=scene.command("registry", "log", scene.name),
                when=event["when"],
                facts={"version": number, "who": event["who"], "why": event["why"]},
            )
