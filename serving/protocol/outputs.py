"""V2 outputs of an answer, alike over HTTP and gRPC."""

from dataclasses import dataclass
from typing import Any

from almanac.model.bundle import Bundle
from almanac.model.target import Outcome, Target
from serving.errors import invalid
from serving.prediction.service import Answer


@dataclass(frozen=True, slots=True)
class Output:
    """One output tensor: its name, the protocol's datatype, and its n values."""

    name: str
    datatype: str
    values: Any


def output_names(bundle: Bundle, name: str) -> list[tuple[str, str]]:
    """Return name and datatype of each output of a model.

    The model of one target has `prediction`, `lower`, `upper` and `signal`; the model of a use case has the same with
    the target's name and a point in front.
    """
    if name in bundle.targets:
        return _names(bundle.targets[name], "")
    return [item for target in bundle.targets.values() for item in _names(target, f"{target.name}.")]


def _names(target: Target, prefix: str) -> list[tuple[str, str]]:
    names = [(f"{prefix}prediction", "FP64")]
    if target.intervals is not None:
        names += [(f"{prefix}lower", "FP64"), (f"{prefix}upper", "FP64")]
    return [*names, (f"{prefix}signal", "BYTES")] if target.signal_names else names


def outputs(answer: Answer, name: str, wanted: list[str] | None) -> list[Output]:
    """Return the outputs asked for, all when `wanted` is None.

    Raises:
        Refusal: an output that the model does not have.
    """
    every: dict[str, Output] = {}
    for target, outcome in answer.outcomes.items():
        prefix = "" if name in answer.bundle.targets else f"{target}."
        every |= {output.name: output for output in _outputs(outcome, prefix)}
    if wanted is None:
        return list(every.values())
    for output in wanted:
        if output not in every:
            raise invalid(f"outputs: {output} is not an output of {name}; it has {', '.join(every)}")
    return [every[output] for output in wanted]


def _outputs(outcome: Outcome, prefix: str) -> list[Output]:
    found = [Output(f"{prefix}prediction", "FP64", outcome.prediction)]
    if outcome.lower is not None:
        found += [Output(f"{prefix}lower", "FP64", outcome.lower), Output(f"{prefix}upper", "FP64", outcome.upper)]
    if outcome.signals is not None:
        found.append(Output(f"{prefix}signal", "BYTES", outcome.signals))
    return found


def input_tensors(bundle: Bundle, name: str) -> list[dict[str, Any]]:
    """Return the metadata of the inputs: one column a feature."""
    columns = bundle.columns_of(name)
    return [
        {"name": column, "datatype": "BYTES" if column in columns.categories else "FP64", "shape": [-1]}
        for column in columns.names
    ]


def output_tensors(bundle: Bundle, name: str) -> list[dict[str, Any]]:
    """Return the metadata of the outputs."""
    return [{"name": output, "datatype": datatype, "shape": [-1]} for output, datatype in output_names(bundle, name)]
