"""The end of a run whose gate closed: it fails, and says why."""

from pathlib import Path

from almanac.core.errors import GateError
from almanac.core.files import read_json


def reject(decision: Path) -> None:
    """Fail the run with the rules that its model did not pass.

    Args:
        decision: gate.json.

    Raises:
        GateError: always; the message names each rule that failed and by how much.
    """
    failed = [rule["message"] for rule in read_json(decision)["rules"] if not rule["passed"]]
    raise GateError("\n".join(["The gate is closed:", *(f"  {message}" for message in failed)]))
