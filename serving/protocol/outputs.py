"""V2 metadata and outputs of an answer, alike over HTTP and gRPC."""

from dataclasses import dataclass
from typing import Any

from almanac.model.bundle import Bundle
from serving.prediction.answers import Answer
from serving.runtime.errors import invalid

Tensor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """One output tensor: its name, the protocol's datatype, and its n values."""

    name: str
    datatype: str
    values: Any


def outputs(answer: Answer, name: str, requested: list[str] | None) -> list[OutputTensor]:
    """Return the requested outputs, all when `requested` is None.

    Raises:
        HTTPError: an output that the model does not have.
    """
    tensors = {
        f"{_prefix(answer.bundle, name, target)}{output.name}": (output.datatype, values)
        for target, prediction in answer.outcomes.items()
        for output, values in prediction.present()
    }
    # Checked before any is returned, so that the message lists them all.
    for output_name in requested or ():
        if output_name not in tensors:
            raise invalid(f"outputs: {output_name} is not an output of {name}; it has {', '.join(tensors)}")
    return [OutputTensor(one, *tensors[one]) for one in (tensors if requested is None else requested)]


def platform(bundle: Bundle, name: str) -> str:
    """Return the kinds of the model's bodies, such as lightgbm."""
    models = [bundle.targets[name]] if name in bundle.targets else bundle.targets.values()
    return ",".join(dict.fromkeys(model.predictor.kind for model in models))


def input_tensors(bundle: Bundle, name: str) -> list[Tensor]:
    """Return the metadata of the inputs: one column a feature."""
    columns = bundle.columns_of(name)
    return [_tensor(column, "BYTES" if column in columns.categories else "FP64") for column in columns.names]


def output_tensors(bundle: Bundle, name: str) -> list[Tensor]:
    """Return the metadata of the outputs.

    The model of one target has `prediction`, `lower`, `upper` and `signal`; the model of a use case has the same with
    the target's name and a point in front.
    """
    targets = [bundle.targets[name]] if name in bundle.targets else bundle.targets.values()
    return [
        _tensor(f"{_prefix(bundle, name, target.name)}{output.name}", output.datatype)
        for target in targets
        for output in target.outputs
    ]


def _prefix(bundle: Bundle, name: str, target: str) -> str:
    return "" if name in bundle.targets else f"{target}."


def _tensor(name: str, datatype: str) -> Tensor:
    return {"name": name, "datatype": datatype, "shape": [-1]}
