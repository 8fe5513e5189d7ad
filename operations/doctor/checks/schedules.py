"""Schedules of the use cases: runs that should have begun."""

from collections.abc import Iterator
from datetime import timedelta

from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, ok, skipped, warning
from operations.history import open_history
from operations.notifications.events.schedule_missed import schedule_missed
from operations.notifications.scene import Scene
from operations.notifications.settings import Grace


def _look(patient: Patient) -> Iterator[Finding]:
    known = [subject for subject in patient.subjects if subject.usecase is not None]
    if not known:
        yield skipped("no use case was given")
        return
    engine = open_history(patient.history)
    since = (patient.now - timedelta(days=366)).isoformat()
    for subject in known:
        scene = Scene(engine, subject, patient.registry, patient.runs, "", patient.now, since, Grace())
        missed = list(schedule_missed(scene))
        for message in missed:
            yield warning(f"{subject.name}: {message.title}", f"`{message.command}`, and see why it did not begin")
        if not missed:
            yield ok(f"{subject.name}: no scheduled run is missing")
    engine.dispose()


KIND = Check("schedules", "Did every scheduled run begin?", _look)
