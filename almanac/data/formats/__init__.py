"""Formats of tables, one module a kind: from decompressed bytes to a raw table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from almanac.usecase.data_section import Read

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FormatKind"]


@dataclass(frozen=True)
class FormatKind:
    """A format of tables.

    Attributes:
        name: The `read.format` by which a source asks for it.
        parse: Takes bytes and the section `read`; returns the raw table, and raises ValueError or a Polars error
            for malformed bytes.
        textual: Whether numbers may be written as texts; texts in any other format's numeric columns are errors.
    """

    name: str
    parse: Callable[[bytes, Read], "pl.DataFrame"]
    textual: bool
