"""Bills of materials of the images: the packages of their locked requirements, as CycloneDX 1.6."""

import re
import uuid
from typing import Any

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from almanac.core.files import canonical_json, sha256_bytes
from almanac.core.image import VERSION

#: Packages that requirements/slim.sh removes from the images.
REMOVED = frozenset({"llvmlite", "numba"})
# Markers are evaluated for the image and not for the machine that builds it.
_IMAGE = {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux", "os_name": "posix"}
_IMAGE |= {"platform_system": "Linux", "implementation_name": "cpython", "platform_python_implementation": "CPython"}
_PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")


def bill(name: str, requirements: str) -> dict[str, Any]:
    """Return the bill of materials of an image, from the text of its locked requirements."""
    parts = [_component(*pin) for pin in _pins(requirements)]
    # The same requirements give the same serial number.
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
    """Return the names and versions that the image's platform installs, sorted."""
    pins = [match.groups() for line in requirements.splitlines() if (match := _PINNED.match(line))]
    installed = [(name, version) for name, version, marker in pins if not marker or Marker(marker).evaluate(_IMAGE)]
    return sorted((name, version) for name, version in installed if canonicalize_name(name) not in REMOVED)


def _component(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{canonicalize_name(name)}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
