"""Origins of the history's rows, one module an origin.

Each has a function that yields (table, row) for what it finds.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Table

Rows = Iterator[tuple[Table, dict[str, Any]]]

__all__ = ["Rows"]
