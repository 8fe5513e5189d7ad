"""Entry point of the registration component."""

from pathlib import Path

from almanac.core.errors import GateError, gate_message
from almanac.core.files import read_json
from almanac.usecase import load_text
from governance.registration import register, version_files


def run(usecase: str, model: str, inputs: dict[str, str], registry: str, environment: str, registration: str) -> None:
    """Register the run's files as a version, and sign its model.

    Raises:
        GateError: the gate is closed; names each rule that did not hold.
        RegistryError: the environment is unknown, there is no key, or the store is refused.
    """
    decision = read_json(Path(inputs["decision"]))
    if decision["passed"] is not True:
        raise GateError(gate_message(decision))
    files = version_files(model, **inputs)
    register(load_text(usecase, "usecase"), files, registry, environment, Path(registration))
