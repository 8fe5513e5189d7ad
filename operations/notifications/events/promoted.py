"""A version that came to staging or production."""

import json
from collections.abc import Iterator

from operations.history.tables import EVENTS
from operations.notifications.message import Message
from operations.notifications.scene import Scene, minute


def promoted(scene: Scene) -> Iterator[Message]:
    """Yield a message for each promotion."""
    for event in scene.rows(EVENTS, "when"):
        if event["kind"] == "promoted":
            stage, number = str(json.loads(event["detail"])["stage"]), event["version"]
            back = stage == "production"
            yield Message(
                kind="promoted",
                use_case=scene.name,
                identity=event["digest"],
                title=f"Version {number} is in {stage}",
                lines=(f"By {event['who']}, {minute(event['when'])}: {event['why']}",),
                link=scene.version_link(number),
                command=scene.command("registry", "rollback", scene.name, why=True)
                if back
                else scene.command("registry", "promote", f"{scene.name}/{number}", why=True),
                when=event["when"],
                facts={"version": number, "stage": stage, "who": event["who"], "why": event["why"]},
            )
