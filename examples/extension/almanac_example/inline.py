"""A source: rows in the use case file itself, as CSV."""

from collections.abc import Callable
from typing import Literal

from almanac.data.cache import Content
from almanac.data.sources import FetchContext, SourceKind
from almanac.usecase.data_section import SourceBase


class InlineSource(SourceBase):
    """Rows in the use case file, for a handful of facts such as holidays or price changes."""

    type: Literal["inline"]
    text: str
    """The rows as CSV, with a header."""


def _attempts(source: InlineSource, context: FetchContext) -> list[Callable[[], Content]]:
    return [lambda: context.cache.keep(source.text.encode(), "the use case file")]


KIND = SourceKind("inline", InlineSource, _attempts, format="csv")
