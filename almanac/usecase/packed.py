"""A use case as one short text, which a compiled pipeline carries."""

import base64
import bz2

from almanac.core.errors import UseCaseError
from almanac.usecase.load import digest, dump, load_text
from almanac.usecase.model import UseCase

#: Environment variable of the task that unpacks it.
VARIABLE = "ALMANAC_USE_CASE"
#: Most characters that a pipeline carries. Kubeflow 2.17 keeps eight copies of them in the object of a run, of which
#: Argo takes 1 MiB.
LIMIT = 12_000


def pack(usecase: UseCase) -> str:
    """Return a use case in a third of its size: bzip2 in base64."""
    # The bytes of zlib differ between its implementations, and compiled files must not.
    return base64.b64encode(bz2.compress(dump(usecase).encode())).decode()


def unpack(packed: str) -> UseCase:
    """Return the use case of a packed text.

    Raises:
        UseCaseError: a damaged text, or a use case of another release that breaks a rule of this one.
    """
    try:
        text = bz2.decompress(base64.b64decode(packed, validate=True)).decode()
    except (ValueError, OSError) as error:
        raise UseCaseError(f"{VARIABLE}: is not a packed use case ({error}); compile the pipeline again") from None
    return load_text(text, VARIABLE)


def fits(packed: str) -> bool:
    """Return whether a pipeline can carry a packed use case, which otherwise lies in the registry."""
    return len(packed) <= LIMIT


def label(usecase: UseCase) -> str:
    """Return name and sha256 in one text, by which a pipeline knows its use case."""
    return f"{usecase.name}-{digest(usecase)}"


def parse_label(text: str) -> tuple[str, str]:
    """Return name and sha256 of a label."""
    name, _, identity = text.rpartition("-")
    return name, identity
