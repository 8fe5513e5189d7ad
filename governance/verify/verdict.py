"""The verdict of a verification, for people and as JSON."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from governance.verify.verification import Step

_WIDTH = 70


@dataclass(frozen=True)
class Verdict:
    """The steps of a verification and its verdict.

    Attributes:
        directory: what was verified.
        steps: all of them, those that failed included.
    """

    directory: Path
    steps: list[Step]

    @property
    def faults(self) -> list[Step]:
        """The steps that failed."""
        return [step for step in self.steps if step.fault]

    @property
    def first(self) -> str:
        """The fault to begin with, empty if there is none; a signature's names a file, but no place in it."""
        # `min` keeps the order of the checks within both groups.
        return min(self.faults, key=lambda step: step.name.endswith("signature")).fault if self.faults else ""

    @property
    def unchecked(self) -> list[Step]:
        """The steps that could not be done."""
        return [step for step in self.steps if not step.fault and not step.count]

    def lines(self) -> list[str]:
        """Return one aligned line for each step, and the verdict last."""
        lines = [_line(step) for step in self.steps]
        notes = [f"{step.name}: {step.note}" for step in self.steps if step.note]
        if notes:
            lines += ["", *(f"  {note}" for note in notes)]
        if self.faults:
            return [*lines, "", *(f"  {step.name}: {step.fault}" for step in self.faults)]
        missing = ", ".join(step.name for step in self.unchecked)
        return [*lines, "", f"verified: {self.directory}{f' (not checked: {missing})' if missing else ''}"]

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as `--json` prints it."""
        return {
            "verified": not self.faults,
            "directory": str(self.directory),
            "fault": self.first,
            "not_checked": [step.name for step in self.unchecked],
            "steps": [asdict(step) for step in self.steps],
        }

    def check(self) -> None:
        """Raise the first fault.

        Raises:
            DocumentError: the first difference, with its file and place.
        """
        if self.faults:
            others = f" ({len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
            raise DocumentError(f"{self.first}{others}")


def _line(step: Step) -> str:
    # Of one width, so that the eye finds the line that differs.
    state = "FAILED" if step.fault else ("ok" if step.count else "-")
    count = f"{step.count:,}" if step.count else ""
    return f"{state:6} {step.name:20} {step.what:{_WIDTH}} {count:>8} {step.seconds:6.2f} s"
