"""Passes over the events of use cases: each new one is delivered once."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from almanac.core.errors import AlmanacError, NotificationError
from operations.console.memory import Memory
from operations.history import Origins, use_cases
from operations.journal import Journal
from operations.notifications.delivery import Courier, Outcome, deliveries
from operations.notifications.events import EVENTS
from operations.notifications.ledger import FAILED
from operations.notifications.message import Message
from operations.notifications.report_message import report_message
from operations.notifications.scene import Scene
from operations.notifications.settings import Settings, load_settings
from operations.reports import KINDS, last_period, make_report, to_pdf
from operations.subject import find_subject


class Watch:
    """Looks for events of use cases and delivers the new ones.

    Args:
        engine: the history.
        origins: where its rows come from.
        settings: path of the settings, read again at every pass.
        use_cases: files or names of the use cases.
        registry: address of the registry as commands in messages give it; empty for the default one.
        keep: read the history as it is.
        reports: send the reports on the last week and month as well, once they are over.
        clock: returns the present; tests give their own.
    """

    def __init__(
        self,
        engine: Engine,
        origins: Origins,
        settings: Path,
        use_cases: Sequence[str],
        registry: str = "",
        *,
        keep: bool = False,
        reports: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._memory, self._settings = Memory(engine, origins), settings
        self._use_cases, self._registry, self._clock = use_cases, registry, clock
        self._keep, self._reports = keep, reports

    def look(self, *, again: bool = False) -> Iterator[Outcome]:
        """Deliver all news, and yield the outcome of each delivery that was due.

        Args:
            again: whether what was refused, given up or is uncertain is sent again.

        Raises:
            AlmanacError: settings, a use case or an origin of the history that cannot be read, or an unknown name.
        """
        settings = load_settings(self._settings)
        if not self._keep:
            self._memory.refresh()
            if self._memory.problem:
                raise AlmanacError(self._memory.problem)
        for given in self._use_cases:
            yield from self._deliver(given, settings, again)

    def _deliver(self, given: str, settings: Settings, again: bool) -> Iterator[Outcome]:
        scene = self._scene(given, settings)
        courier = Courier(Journal(self._memory.origins.registry, scene.name, self._clock), settings)
        down: set[str] = set()
        for message in (*news(scene), *(self._due_reports(scene, settings, courier, again) if self._reports else ())):
            for delivery in deliveries(settings, message):
                # A server that is away would be waited for by every message of the pass.
                found = courier.deliver(delivery, again=again) if delivery.name not in down else None
                if found is not None:
                    down |= {delivery.name} if found.outcome == FAILED else set()
                    yield found

    def _due_reports(self, scene: Scene, settings: Settings, courier: Courier, again: bool) -> Iterator[Message]:
        """Yield the reports that somebody has to get; others are not made, which takes seconds."""
        for kind in KINDS:
            period = last_period(kind, scene.now, scene.subject.zone)
            ways = deliveries(settings, Message(kind, scene.name, period.name, "", (), "", "", ""))
            if period.span[1] >= scene.since and any(courier.is_open(each, again=again) for each in ways):
                subject = scene.subject
                report = make_report(scene.engine, scene.name, period, title=subject.title, times=subject.times)
                html = report.html(settings.templates)
                yield report_message(report, settings.console, html, to_pdf(html))

    def _scene(self, given: str, settings: Settings) -> Scene:
        now, origins = self._clock(), self._memory.origins
        since = (now - timedelta(days=settings.oldest_days)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        subject = find_subject(given, origins.registry)
        # Nothing would ever be sent for a name that is misspelt.
        if subject.usecase is None and subject.name not in (known := use_cases(self._memory.engine)):
            raise NotificationError(
                f"{given}: no use case file, and not in the history; it has {', '.join(known) or 'no use case'}"
            )
        return Scene(
            engine=self._memory.engine,
            subject=subject,
            registry=self._registry,
            runs=origins.runs,
            console=settings.console,
            now=now,
            since=since,
            grace=settings.grace,
        )

    def follow(self, every: float, say: Callable[[str], None]) -> None:
        """Look again and again until a signal ends the process; a pass that fails is reported, and the next one begins.

        Args:
            every: seconds between two passes.
            say: told of each outcome and each error in a line.
        """
        while True:
            try:
                for found in self.look():
                    say(f"{found.delivery.shown}: {found.delivery.message.title}: {found.told}")
            except (AlmanacError, OSError) as error:
                say(f"error: {error}")
            time.sleep(every)


def news(scene: Scene) -> list[Message]:
    """Return the messages on everything that is news for a use case, oldest first."""
    return sorted((message for find in EVENTS.values() for message in find(scene)), key=_order)


def _order(message: Message) -> tuple[datetime, str, str]:
    return datetime.fromisoformat(message.when), message.kind, message.identity
