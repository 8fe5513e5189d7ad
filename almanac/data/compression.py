"""Reading compressed files and members of zip archives."""

import bz2
import difflib
import gzip
import io
import lzma
import zipfile
import zlib
from typing import assert_never

from almanac.core.errors import SourceError
from almanac.usecase.data_section import Read


def decompress(read: Read, data: bytes, location: str) -> bytes:
    """Return the decompressed bytes of a source.

    Raises:
        SourceError: they are not compressed as declared, or are damaged.
    """
    try:
        match read.compression:
            case "gzip":
                return gzip.decompress(data)
            case "bz2":
                return bz2.decompress(data)
            case "xz":
                return lzma.decompress(data)
            case "zstd":
                # Only of the newest versions of Python's own library.
                import pyarrow

                return bytes(pyarrow.input_stream(io.BytesIO(data), compression="zstd").read())
            case "zip":
                return _unzip(read, data, location)
            case "none":
                return data
            case _:
                assert_never(read.compression)
    # It is an OSError too, and already says which member is missing.
    except SourceError:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise SourceError(f"{location}.read.compression: cannot be read as {read.compression}: {error}") from None


def zip_member(archive: zipfile.ZipFile, name: str, shown: str) -> bytes:
    """Return a member of a zip archive; `shown` is the archive's name in errors.

    Raises:
        SourceError: the archive has no member of this name, or it is damaged.
    """
    try:
        return archive.read(name)
    except KeyError:
        names = _files(archive)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
        raise SourceError(f"{shown}: holds no {name}; there is {', '.join(close) or 'nothing'}") from None
    # RuntimeError means an encrypted member, NotImplementedError a compression that zipfile lacks.
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise SourceError(f"{shown}: {name} cannot be read: {error}") from None


def _unzip(read: Read, data: bytes, location: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = _files(archive)
        if read.member is None and len(names) != 1:
            raise SourceError(f"{location}.read.member: name one of the archive's members: {', '.join(names)}")
        return zip_member(archive, read.member or names[0], location)


def _files(archive: zipfile.ZipFile) -> list[str]:
    return [info.filename for info in archive.infolist() if not info.is_dir()]
