"""Export of a version as a folder that can be pushed as a repository: the model card is its README."""

import shutil
from pathlib import Path

from almanac.core.errors import RegistryError
from almanac.core.files import whole_directory, write_text
from governance.documents.layout import FOLDER
from governance.registry import resolve

#: Large or binary files of a version, which a repository keeps apart from its history.
_LARGE = ("*.parquet", "*.bst", "*.skops")


def export(address: str, folder: Path, registry: str, allow_rejected: bool = False) -> list[str]:
    """Write a version, verified, to a folder that does not exist yet; return the paths of its files.

    The folder holds README.md, the model card with the metadata that model hubs read; the model; the documents; and the
    artifacts that they quote. `almanac verify FOLDER` and `almanac serve --model FOLDER` take it.

    Args:
        address: `registry:<use case>/<stage or version>`.
        folder: the folder to write.
        registry: a path, s3:// or gs://.
        allow_rejected: export a version that was rejected.

    Raises:
        RegistryError: unknown or rejected version, no documents, a file that does not verify, or a folder that exists.
    """
    if folder.exists():
        raise RegistryError(f"{folder}: exists; expected the name of a new folder")
    version = resolve(address, registry, allow_rejected=allow_rejected).parent
    card = version / FOLDER / "model_card.md"
    if not card.is_file():
        raise RegistryError(f"{address}: has no model card; its documents are not attached yet")
    with whole_directory(folder) as aside:
        shutil.copytree(version, aside, dirs_exist_ok=True)
        shutil.copyfile(card, aside / "README.md")
        write_text(
            aside / ".gitattributes", "".join(f"{name} filter=lfs diff=lfs merge=lfs -text\n" for name in _LARGE)
        )
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
