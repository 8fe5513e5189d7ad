"""The operations documents against the code that they speak of."""

import re
from pathlib import Path

from operations.doctor import CHECKS

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs" / "operations"


def test_the_checklist_asks_what_the_doctor_looks_at() -> None:
    text = (PAGES / "checklist.md").read_text()
    asked = re.findall(r"^- \[ \] \*\*(\w+)\*\*: (.*)$", text, re.MULTILINE)
    assert asked == [(check.name, check.question) for check in CHECKS.values()]


def test_every_page_is_in_the_index_and_in_the_site() -> None:
    names = {path.name for path in PAGES.glob("*.md")}
    index, site = (PAGES / "index.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    assert {name for name in names if f"({name})" in index} | {"index.md"} == names
    assert {name for name in names if f"operations/{name}" in site} == names
