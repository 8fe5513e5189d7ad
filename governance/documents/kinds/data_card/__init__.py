"""Data card after Gebru et al. 2021, "Datasheets for Datasets"."""

from pathlib import Path

from governance.documents.kind import Document

KIND = Document(
    name="data_card",
    title="Data card",
    folder=Path(__file__).parent,
    order=20,
    statements={
        "data_motivation": "why and by whom the data were made",
        "data_composition": "what a row stands for, what is missing in it, and whether it is about persons",
        "data_collection": "how the values were measured or collected",
        "data_preprocessing": "what was done to the data before they reached this project, and what is done here",
        "data_uses": "other uses of the data, and uses that they are not fit for",
        "data_distribution": "licence, terms and where the data can be had",
        "data_maintenance": "who maintains the data, and what happens when they end or change",
    },
)
