"""Address of the history: an option, `ALMANAC_HISTORY`, or a SQLite file."""

import os

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from almanac.core.errors import HistoryError

VARIABLE = "ALMANAC_HISTORY"
DEFAULT = "sqlite:///history.db"
_BACKENDS = ("sqlite", "postgresql")


def default_url() -> str:
    """Return the address that holds where no option gives one."""
    return os.environ.get(VARIABLE, "") or DEFAULT


def parse(url: str) -> URL:
    """Return an address with the driver that Almanac installs.

    Raises:
        HistoryError: not an address, or of another database.
    """
    expected = "expected sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    try:
        address = make_url(url)
    except ArgumentError:
        # The text may hold a password, so that it is not repeated.
        raise HistoryError(f"the history's address is not a URL; {expected}") from None
    if address.get_backend_name() not in _BACKENDS:
        raise HistoryError(f"history {shown(address)}: {address.drivername} is not supported; {expected}")
    if address.get_backend_name() == "sqlite":
        if not address.database:
            raise HistoryError("history sqlite://: names no file; write sqlite:///history.db")
        return address
    return address.set(drivername="postgresql+psycopg")


def shown(address: URL) -> str:
    """Return an address as messages show it: without user, password and options."""
    where = f"{address.host or ''}{f':{address.port}' if address.port else ''}"
    return f"{address.get_backend_name()}://{where}/{address.database or ''}"
