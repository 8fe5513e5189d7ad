"""The same models inside a `kserve.ModelServer`, for a process that serves other models too.

    import kserve
    from serving.kserve_model import kserve_models
    kserve.ModelServer().start(kserve_models("registry:air/production"))

What kserve's own routes leave open stays open here: keys, limits and metrics belong to `python -m serving`.
"""

from typing import Any

import kserve
import msgspec
import numpy as np
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse

from almanac.core.errors import AlmanacError
from almanac.model.bundle import Bundle
from serving.errors import Refusal
from serving.features.records import Moment
from serving.features.records import read as read_records
from serving.prediction.service import Answer, Explanation
from serving.prediction.source import Source
from serving.protocol.outputs import input_tensors, output_tensors, outputs
from serving.protocol.tensors import Tensor
from serving.protocol.tensors import read as read_tensors
from serving.protocol.v1 import explanations, predictions


class AlmanacModel(kserve.Model):  # type: ignore[misc]
    """One name of a bundle as a kserve model.

    Args:
        name: a target, or the use case for all targets.
        bundle: the loaded model.
    """

    def __init__(self, name: str, bundle: Bundle) -> None:
        super().__init__(name)
        self._bundle = bundle
        self.ready = True

    def predict(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """Predict a V1 body or a V2 request.

        Raises:
            InvalidInput: a row or column that breaks a rule, named.
        """
        try:
            if isinstance(payload, InferRequest):
                return self._infer(payload)
            answer = self._answer(read_records(_document(payload), self._bundle.columns_of(self.name)))
            return predictions(answer, self.name)
        except Refusal as refusal:
            raise InvalidInput(str(refusal)) from refusal

    def explain(self, payload: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Explain a V1 body; the request's headers do not enter the answer.

        Raises:
            InvalidInput: a row or column that breaks a rule, named.
            InferenceError: a model without tree explanation.
        """
        try:
            given = read_records(_document(payload), self._bundle.columns_of(self.name))
            parts = {}
            for name, X in self._matrices(given).items():
                target = self._bundle.targets[name]
                parts[name] = target.explain(X)
        except Refusal as refusal:
            raise InvalidInput(str(refusal)) from refusal
        except AlmanacError as error:
            raise InferenceError(str(error)) from error
        return explanations(Explanation(self._bundle, parts), self.name)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs, one column a feature."""
        return input_tensors(self._bundle, self.name)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs."""
        return output_tensors(self._bundle, self.name)

    def _infer(self, request: InferRequest) -> InferResponse:
        tensors = [Tensor(item.name, item.datatype, tuple(item.shape), _values(item)) for item in request.inputs]
        answer = self._answer(read_tensors(tensors, self._bundle.columns_of(self.name)))
        found = []
        for output in outputs(answer, self.name, None):
            values = np.array(output.values, dtype=object if output.datatype == "BYTES" else np.float64)
            item = InferOutput(output.name, list(values.shape), output.datatype)
            item.set_data_from_numpy(values, binary_data=False)
            found.append(item)
        return InferResponse(request.id or "", self.name, found, model_version=self._bundle.version)

    def _answer(self, given: Any) -> Answer:
        matrices = self._matrices(given)
        outcomes = {name: self._bundle.targets[name].predict(X) for name, X in matrices.items()}
        return Answer(self._bundle, outcomes, [])

    def _matrices(self, given: Any) -> dict[str, Any]:
        if isinstance(given, list) and any(isinstance(item, Moment) for item in given):
            raise InvalidInput("requests by entity or history are answered by `python -m serving` alone")
        if self.name in self._bundle.targets:
            return {self.name: given}
        return {name: np.ascontiguousarray(given[:, places]) for name, places in self._bundle.places.items()}


def _values(item: Any) -> Any:
    """Return the values as sent where they are a flat list: NumPy's are rounded already."""
    if isinstance(item.data, list) and not any(isinstance(value, list) for value in item.data):
        return item.data
    return np.asarray(item.as_numpy()).ravel()


def _document(payload: Any) -> dict[str, Any]:
    if isinstance(payload, bytes):
        # kserve hands the bytes on when the content type has a charset.
        try:
            payload = msgspec.json.decode(payload)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidInput("the body is not an object with instances or inputs")
    return payload


def kserve_models(address: str) -> list[AlmanacModel]:
    """Return the models at an address, as `--model` names it: one for each target, one for all.

    Raises:
        AlmanacError: the model cannot be loaded.
    """
    bundle = Source(address).load()
    return [AlmanacModel(name, bundle) for name in dict.fromkeys([*bundle.targets, bundle.use_case])]
