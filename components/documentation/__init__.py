"""Documentation: a version's governance documents, attached to it, and its promotion where no approval is asked for."""

from typing import TYPE_CHECKING

from components.common.lazy import lazily

if TYPE_CHECKING:
    from components.documentation.document import document

__all__ = ["document"]

__getattr__ = lazily(__name__, {"document": "document"})
