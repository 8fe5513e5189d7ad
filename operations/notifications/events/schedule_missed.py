"""A scheduled run that is missing: by the schedule of the use case and the last run in the history."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from almanac.usecase.cron import next_time
from operations.history.tables import EVENTS, RUNS
from operations.notifications.message import Message
from operations.notifications.scene import Scene, minute

#: How much earlier than due a run may begin by its own clock.
_CLOCKS = timedelta(minutes=1)


def schedule_missed(scene: Scene) -> Iterator[Message]:
    """Yield a message for each schedule whose run is missing; one for a gap, however long it is.

    A use case that has never run has no gap, and one that is known only by its name has no schedule.
    """
    usecase = scene.subject.usecase
    if usecase is None:
        return
    schedule, grace = usecase.schedule, scene.grace
    for kind, cron, hours, command in (
        ("training", schedule.retrain, grace.retrain_hours, "retrain"),
        ("monitoring", schedule.monitor, grace.monitor_hours, "monitor"),
    ):
        last = max(_begun(scene, kind), default=None)
        due = None if last is None else next_time(cron, last + _CLOCKS)
        if last is not None and due is not None and due + timedelta(hours=hours) < scene.now:
            yield Message(
                kind="schedule_missed",
                use_case=scene.name,
                identity=f"{kind} {due.isoformat()}",
                title=f"The {kind} that was due {minute(due.isoformat())} is missing",
                lines=(
                    f"The last one began {minute(last.isoformat())}; the schedule is {cron} (UTC).",
                    "Nothing more is sent about this gap.",
                ),
                link=scene.page_link("history"),
                command=scene.command(command, scene.subject.file),
                when=due.isoformat(),
                facts={"pipeline": kind, "due": due.isoformat(), "last": last.isoformat(), "schedule": cron},
            )


def _begun(scene: Scene, kind: str) -> Iterator[datetime]:
    """Yield the times of the runs of a kind; a cluster's training leaves no run directory here, but a version."""
    runs = scene.rows(RUNS, "started", since=False)
    yield from (datetime.fromisoformat(row["started"]) for row in runs if row["kind"] == kind)
    if kind == "training":
        events = scene.rows(EVENTS, "when", since=False)
        yield from (datetime.fromisoformat(row["when"]) for row in events if row["kind"] == "registered")
