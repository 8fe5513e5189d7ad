"""An image's bill of materials: `python -m orchestration.sbom REQUIREMENTS OUT`.

It lists what the locked requirements put in an image, as CycloneDX 1.6, with the digests that the lock allows.
"""

import re
import sys
import uuid
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from almanac.core.files import canonical_json, sha256_bytes, write_json
from almanac.core.image import VERSION

#: What requirements/slim.sh takes out of the images again.
REMOVED = frozenset({"llvmlite", "numba"})
_IMAGE = {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux", "os_name": "posix"}
_IMAGE |= {"platform_system": "Linux", "implementation_name": "cpython", "platform_python_implementation": "CPython"}
_PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")


def bill(name: str, requirements: str) -> dict[str, Any]:
    """Return the bill of materials of an image, from the text of its locked requirements."""
    parts = [_component(*pin) for pin in _pins(requirements)]
    identity = uuid.UUID(hex=sha256_bytes(canonical_json(parts))[:32], version=4)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": identity.urn,
        "version": 1,
        "metadata": {"component": {"type": "container", "name": f"almanac-{name}", "version": VERSION}},
        "components": parts,
    }


def _pins(requirements: str) -> list[tuple[str, str]]:
    """Return names and versions that are installed on the image's platform, sorted."""
    found = [match.groups() for line in requirements.splitlines() if (match := _PINNED.match(line))]
    here = [(name, version) for name, version, marker in found if not marker or Marker(marker).evaluate(_IMAGE)]
    return sorted((name, version) for name, version in here if canonicalize_name(name) not in REMOVED)


def _component(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{canonicalize_name(name)}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    write_json(target, bill(source.stem, source.read_text(encoding="utf-8")))
