"""Steps from a file's raw table to one with a row for each time, one module a kind.

A kind from another package is registered by an entry point of the group `almanac.shapes`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from almanac.usecase.shape_section import ShapeBase

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ShapeBase", "ShapeKind"]


@dataclass(frozen=True)
class ShapeKind:
    """A step.

    Attributes:
        name: The `step` by which `read.shape` asks for it.
        declaration: Its section of the use case file, with `step: Literal[name]`.
        apply: Takes the table before and the declared step; returns the table after, and raises ValueError with the
            reason, or a Polars error, where the table does not allow it.
    """

    name: str
    declaration: type[ShapeBase]
    apply: Callable[["pl.DataFrame", Any], "pl.DataFrame"]
