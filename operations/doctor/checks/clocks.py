"""Clocks: this machine's against those of servers, stores and the newest event."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from sqlalchemy import func, select

from governance.registry import Event, Registry
from operations.doctor.answers import TIMEOUT_SECONDS
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, warning
from operations.history import open_history

# A date in a head has whole seconds, and the answer takes its time.
_CLOSE_SECONDS, _APART_SECONDS = 3.0, 60.0
_REMEDY = "let NTP set the clocks (`timedatectl`)"


def _look(patient: Patient) -> Iterator[Finding]:
    newest = max((event.when for event in _newest_events(patient.registry)), default="")
    if newest and datetime.fromisoformat(newest) > datetime.now(UTC):
        yield failed(f"the newest event of the registry is of {newest}, which is to come", _REMEDY)
    for address in patient.servers:
        if (theirs := _server_time(address)) is not None:
            yield _compared(address, theirs)
    if patient.history.startswith("postgresql"):
        engine = open_history(patient.history)
        with engine.connect() as connection:
            theirs = connection.scalar(select(func.clock_timestamp()))
        engine.dispose()
        if isinstance(theirs, datetime):
            yield _compared("the history's database", theirs)
    yield ok(f"this machine: {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")


def _newest_events(url: str) -> Iterator[Event]:
    registry = Registry(url)
    for name in registry.use_cases():
        yield from registry.log(name)[-1:]


def _server_time(address: str) -> datetime | None:
    """Return the time in a server's answer, whatever its status; None without an answer, which another check says."""
    try:
        text = httpx.get(f"{address}/healthz", timeout=TIMEOUT_SECONDS).headers.get("Date")
    except httpx.HTTPError:
        return None
    return parsedate_to_datetime(text) if text else None


def _compared(name: str, theirs: datetime) -> Finding:
    apart = (theirs - datetime.now(UTC)).total_seconds()
    fact = f"{name}: {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine"
    if abs(apart) <= _CLOSE_SECONDS:
        return ok(f"{name}: its clock agrees with this machine's")
    return warning(fact, _REMEDY) if abs(apart) <= _APART_SECONDS else failed(fact, _REMEDY)


KIND = Check("clocks", "Do the clocks agree?", _look)
