"""Entry point of the fingerprint component."""

from pathlib import Path

from almanac.core.progress import summary
from almanac.data.fingerprint import fingerprint
from almanac.usecase import load_text
from almanac.usecase.views import reads


def run(usecase: str, base: Path) -> str:
    """Return the fingerprint of the sources; those with a declared digest are not fetched.

    Raises:
        SourceError: a source is unreachable.
    """
    case = reads(load_text(usecase, "usecase"), "fingerprint")
    present = fingerprint(case, base)
    summary(f"{len(case.sources)} source{'s' * (len(case.sources) != 1)}")
    return present
