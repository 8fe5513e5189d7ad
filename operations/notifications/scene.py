"""The state of one use case in which events are looked for."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import Engine, Table, select

from operations.notifications.settings import Grace
from operations.subject import Subject
from serving.runtime.redaction import has_secret

Row = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """A use case as the history has it.

    Attributes:
        engine: the history.
        subject: the use case.
        registry: address of the model registry, for commands; empty for the default one.
        runs: directory of run directories.
        console: address of the console.
        now: the present.
        since: time in UTC from which on an event is news, as the history's times begin.
        grace: time that scheduled runs are given.
    """

    engine: Engine
    subject: Subject
    registry: str
    runs: Path
    console: str
    now: datetime
    since: str
    grace: Grace

    @property
    def name(self) -> str:
        """Name of the use case."""
        return self.subject.name

    def rows(self, table: Table, order: str, *, since: bool = True) -> list[Row]:
        """Return the use case's rows of a table, oldest first; of all times where `since` is false."""
        query = select(table).where(table.c.use_case == self.name)
        if since:
            query = query.where(table.c[order] >= self.since)
        with self.engine.connect() as connection:
            found = [dict(row._mapping) for row in connection.execute(query)]
        return sorted(found, key=lambda row: (row[order], *(row[each.name] for each in table.primary_key)))

    def version_link(self, number: int) -> str:
        """Return the console's page of a version."""
        return f"{self.console}/versions/{quote(self.name)}/{number}"

    def run_link(self, run: str) -> str:
        """Return the console's page of a run."""
        return f"{self.console}/runs/{quote(run)}"

    def page_link(self, page: str, fragment: str = "") -> str:
        """Return a page of the console on the use case, such as agent."""
        return f"{self.console}/{page}?{urlencode({'use_case': self.name})}{f'#{fragment}' if fragment else ''}"

    def command(self, *words: str, why: bool = False) -> str:
        """Return a command on the registry, as a shell reads it; with a reason to fill in where it needs one."""
        # A secret of an address is not for mails; whoever has it knows where it goes.
        registry = ("--registry", self.registry) if self.registry and not has_secret(self.registry) else ()
        reason = ' --why "..."' if why else ""
        return shlex.join(("almanac", *words, *registry)) + reason


def minute(time: str) -> str:
    """Return a time of the wall clock, in ISO 8601 with an offset, to the minute in UTC."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
