"""Examination of an installation by all checks."""

from collections.abc import Callable
from dataclasses import dataclass

from almanac.core.errors import AlmanacError
from operations.doctor.check import CHECKS, Check, Patient
from operations.doctor.finding import ORDER, Finding, Status, failed


@dataclass(frozen=True)
class Result:
    """Result of a check."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """The worst of its findings."""
        return max((finding.status for finding in self.findings), key=ORDER.index)


def examine(patient: Patient, progress: Callable[[str], None] = lambda name: None) -> list[Result]:
    """Return the result of each check, in the order of their names.

    Args:
        patient: the installation.
        progress: told each check's name before it looks.
    """
    results = []
    for check in CHECKS.values():
        progress(check.name)
        results.append(Result(check, _findings(check, patient)))
    return results


def _findings(check: Check, patient: Patient) -> tuple[Finding, ...]:
    found: list[Finding] = []
    try:
        found += check.look(patient)
    except AlmanacError as error:
        found.append(failed(str(error), "see docs/operations/troubleshooting.md"))
    return tuple(found)
