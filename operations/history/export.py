"""The history as text, the same bytes from every database."""

import hashlib
from collections.abc import Iterator

from sqlalchemy import Engine, select

from almanac.core.files import canonical_json
from operations.history.tables import METADATA


def export(engine: Engine) -> Iterator[bytes]:
    """Yield every row as a line of canonical JSON with its table, tables by name and rows by key."""
    with engine.connect() as connection:
        for name in sorted(METADATA.tables):
            table = METADATA.tables[name]
            lines = [
                canonical_json({"table": name, **row._mapping}) + b"\n" for row in connection.execute(select(table))
            ]
            # Databases sort texts by rules of their own.
            yield from sorted(lines)


def digest(engine: Engine) -> str:
    """Return the sha256 of the export."""
    total = hashlib.sha256()
    for line in export(engine):
        total.update(line)
    return total.hexdigest()
