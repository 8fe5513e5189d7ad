"""Entry point of the rejection component."""

from pathlib import Path

from almanac.core.errors import GateError
from almanac.core.files import read_json


def run(decision: Path) -> None:
    """Fail the run with the message of each gate rule that its model did not pass.

    Raises:
        GateError: always.
    """
    failed = [rule["message"] for rule in read_json(decision)["rules"] if not rule["passed"]]
    raise GateError("\n".join(["The gate is closed:", *(f"  {message}" for message in failed)]))
