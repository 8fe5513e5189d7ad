"""PDF documents of tests: whether this machine can make them, and their text."""

import ctypes.util
import io
import os

import pypdf
import pytest

needs_pango = pytest.mark.skipif(
    ctypes.util.find_library("pango-1.0") is None and os.environ.get("CI") != "true", reason="Pango is not installed"
)


def pages(data: bytes) -> list[str]:
    """Return the text of each page."""
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages]
