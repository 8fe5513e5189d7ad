"""Documentation: a version's governance documents, attached to it, and its promotion where no approval is asked for."""

from components.documentation.document import document

__all__ = ["document"]
