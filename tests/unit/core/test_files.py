"""Directories that are replaced as a whole, and documents from outside."""

from pathlib import Path

import pytest

from almanac.core.files import parse_json, whole_directory


def test_a_directory_is_replaced_with_all_its_files(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for content in ("first", "second"):
        with whole_directory(path) as folder:
            (folder / content).write_text(content)
        assert [entry.name for entry in path.iterdir()] == [content]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_block_that_fails_leaves_the_old_directory_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with whole_directory(path) as folder:
        (folder / "kept").write_text("kept")
    with pytest.raises(RuntimeError), whole_directory(path) as folder:
        (folder / "lost").write_text("lost")
        raise RuntimeError
    assert [entry.name for entry in path.iterdir()] == ["kept"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_the_old_directory_comes_back_where_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with whole_directory(path) as folder:
        (folder / "kept").write_text("kept")
    with pytest.raises(FileNotFoundError), whole_directory(path) as folder:
        # Gone before it can be renamed, as by a cleaner of temporary files.
        folder.chmod(0o755)
        moved = folder.rename(tmp_path / "elsewhere")
        moved.rmdir()
    assert (path / "kept").read_text() == "kept"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", b"\xff"])
def test_a_document_that_cannot_be_read_is_an_error_of_its_value(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply|Expecting|decode"):
        parse_json(text)
