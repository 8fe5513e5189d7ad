"""Versions of Python and of the packages that Almanac declares."""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, skipped, warning

_PYTHON = (3, 11)


def _look(_: Patient) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON:
        yield failed(f"Python {found}", "install Python 3.11 or newer")
    else:
        yield ok(f"Python {found}")
    try:
        declared = [Requirement(text) for text in requires("almanac") or ()]
    except PackageNotFoundError:
        yield skipped("the package almanac is not installed; its code runs from a checkout")
        return
    needed = [requirement for requirement in declared if requirement.marker is None or requirement.marker.evaluate()]
    wrong = [text for requirement in needed if (text := _wrong(requirement))]
    if wrong:
        yield warning("; ".join(wrong), "install the locked requirements anew: `pip install --require-hashes -r …`")
    else:
        yield ok(f"almanac {version('almanac')}, and {len(needed)} packages as declared")


def _wrong(requirement: Requirement) -> str:
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is missing"
    fits = requirement.specifier.contains(installed, prereleases=True)
    return "" if fits else f"{requirement.name} {installed} is not {requirement.specifier}"


KIND = Check("versions", "Are Python and the packages those that this release declares?", _look)
