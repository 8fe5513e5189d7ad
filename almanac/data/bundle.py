"""Several files as the bytes of one source: an archive that depends on their names and contents only."""

import io
import zipfile
from collections.abc import Iterable, Iterator

# The earliest time that a zip archive can hold; the files' own would change the digest of equal contents.
_TIME = (1980, 1, 1, 0, 0, 0)


def bundle(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return files, with their names, as one sequence of bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, _TIME), data)
    return stream.getvalue()


def unbundle(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the names and the bytes of bundled files, in their order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            yield info.filename, archive.read(info)
