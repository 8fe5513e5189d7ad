"""A document: one page for the meeting that decides; promotion does not ask for it."""

from pathlib import Path

from governance.documents.kind import Document

KIND = Document(name="fact_sheet", title="Fact sheet", folder=Path(__file__).parent, required=False)
