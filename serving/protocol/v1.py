"""The V1 protocol: `:predict`, `:explain`, readiness."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from almanac.model.bundle import Bundle
from almanac.model.model import Model as Target
from almanac.model.prediction import Output, Predictions, Row, as_list
from serving.features.records import EntityRequest, parse, read
from serving.prediction.service import LARGE, Answer, Explanation, Service
from serving.protocol.chunked import PIECE_BYTES, read_in_pieces
from serving.protocol.message import LARGE_BODY, encode, encode_large, json_reply
from serving.protocol.row_decoder import RowDecoder, matrix
from serving.runtime.errors import not_ready
from serving.runtime.http import Reply, Request

Array = npt.NDArray[np.float64]

EXPLAINED = 8
"""Rows whose explanation is written at once: each has a number for every feature."""


class V1:
    """The V1 routes over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._repository = service.repository
        self._decoders: dict[str, RowDecoder] = {}

    async def models(self, request: Request) -> Reply:
        """Return the names of the models."""
        return json_reply({"models": self._repository.names})

    async def ready(self, request: Request) -> Reply:
        """Tell whether a model answers; 503 when not."""
        if not self._repository.is_ready(request.model):
            raise not_ready(request.model)
        request.answered_by = self._repository.traffic.primary.version
        return json_reply({"name": request.model, "ready": True})

    async def predict(self, request: Request) -> Reply:
        """Predict the instances."""
        name, service = request.model, self._service
        bundle = self._repository.bundle(name)
        request.answered_by = bundle.version
        target = bundle.targets.get(name)
        decoder = self._decoder(bundle, name)
        alone = target if self._repository.traffic.second is None else None
        if len(request.body) <= LARGE_BODY:
            try:
                rows = decoder.decode(request.body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                rows = []  # of another form, or faulty: the general reader finds out
            if alone is not None and len(rows) == 1:
                return _one(bundle, alone, *service.row(alone, rows[0]))
            given = matrix(rows) if rows else await self._read(request, bundle, decoder)
        else:
            given = await self._read(request, bundle, decoder)
        if alone is not None and isinstance(given, list) and len(given) == 1:
            return _one(bundle, alone, *await service.moment(alone, given[0]))
        answer = await service.predict(bundle, name, given)
        if len(given) < LARGE:
            return Reply(encode(predictions(answer, name)))
        return Reply(await self._beside(lambda: encode_large(predictions(answer, name))))

    async def explain(self, request: Request) -> Reply:
        """Explain the predictions of the instances."""
        name = request.model
        bundle = self._repository.bundle(name)
        request.answered_by = bundle.version
        given = await self._read(request, bundle, self._decoder(bundle, name))
        explanation = await self._service.explain(bundle, name, given)
        if len(given) <= EXPLAINED:
            return Reply(encode(explanations(explanation, name)))
        return Reply(await self._beside(lambda: _explanations_in_pieces(explanation, name)))

    def _decoder(self, bundle: Bundle, name: str) -> RowDecoder:
        """Return the decoder of rows by name; it takes milliseconds to build, hence once a model."""
        digest = (bundle.targets.get(name) or bundle).digest
        decoder = self._decoders.get(digest)
        if decoder is None:
            decoder = self._decoders[digest] = RowDecoder(bundle.columns_of(name))
        return decoder

    async def _read(self, request: Request, bundle: Bundle, decoder: RowDecoder) -> Array | list[EntityRequest]:
        """Return the rows or moments of a body of any form; of a large one in pieces."""
        columns = bundle.columns_of(request.model)
        if len(request.body) <= PIECE_BYTES:
            return read(parse(request.body), columns)
        return await read_in_pieces(request.body, decoder, columns, self._service.executor)

    async def _beside(self, work: Callable[[], bytes]) -> bytes:
        """Do the work in a thread, so that single rows do not wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self._service.executor, work)


def predictions(answer: Answer, name: str) -> dict[str, Any]:
    """Return the V1 answer.

    The model of one target answers with lists, `predictions` as numbers as the stock servers do; the model of a use
    case answers with one object a row that holds every target's.
    """
    if name in answer.outcomes:
        present = answer.outcomes[name].present()
        document = _lists([(output, as_list(values)) for output, values in present])
    else:
        parts = {target: _objects(prediction) for target, prediction in answer.outcomes.items()}
        document = {"predictions": [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]}
    return _complete(document, answer.bundle, name, answer.warnings)


def _one(bundle: Bundle, target: Target, row: Row, warnings: list[str]) -> Reply:
    """Return the answer for one row of one target, as `predictions` would."""
    document = _lists([(output, [value]) for output, value in row.present()])
    return Reply(encode(_complete(document, bundle, target.name, warnings)))


def _complete(document: dict[str, Any], bundle: Bundle, name: str, warnings: list[str]) -> dict[str, Any]:
    document |= _model(bundle, name)
    if warnings:
        document["warnings"] = warnings
    return document


def _model(bundle: Bundle, name: str) -> dict[str, Any]:
    digest = bundle.targets[name].digest if name in bundle.targets else bundle.digest
    return {"model_name": name, "model_version": bundle.version, "model_digest": digest}


def _lists(present: list[tuple[Output, list[Any]]]) -> dict[str, Any]:
    """Return the columns of an answer; outputs that share one are the fields of its objects."""
    document: dict[str, Any] = {}
    for output, values in present:
        document[output.column] = _joined(document.get(output.column), output.name, values) if output.shared else values
    return document


def _objects(prediction: Predictions) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] | None = None
    for output, values in prediction.present():
        objects = _joined(objects, output.name, as_list(values))
    return objects or []


def _joined(objects: list[dict[str, Any]] | None, name: str, values: list[Any]) -> list[dict[str, Any]]:
    if objects is None:
        return [{name: value} for value in values]
    for one, value in zip(objects, values, strict=True):
        one[name] = value
    return objects


def explanations(explanation: Explanation, name: str) -> dict[str, Any]:
    """Return the V1 answer of `:explain`: for each row the base value and each feature's contribution to the sum."""
    rows = _explained(explanation, name, slice(None))
    return {"explanations": rows, **_model(explanation.bundle, name)}


def _explanations_in_pieces(explanation: Explanation, name: str) -> bytes:
    """Return the same as JSON, made and written a few rows at a time."""
    count = len(next(iter(explanation.parts.values()))[2])
    parts = [b'{"explanations":']
    for at in range(0, count, EXPLAINED):
        rows = encode(_explained(explanation, name, slice(at, at + EXPLAINED)))
        parts += (b"," if at else b"[", rows[1:-1])
    return b"".join([*parts, b"],", encode(_model(explanation.bundle, name))[1:]])


def _explained(explanation: Explanation, name: str, rows: slice) -> list[Any]:
    parts = {target: _contributions(explanation, target, rows) for target in explanation.parts}
    return (
        parts[name]
        if name in parts
        else [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]
    )


def _contributions(explanation: Explanation, target: str, rows: slice) -> list[dict[str, Any]]:
    contributions, base, prediction = explanation.parts[target]
    names, part = explanation.bundle.targets[target].columns.names, contributions[rows]
    sums = base + np.asarray(part.sum(axis=1))
    found = []
    for values, value, total in zip(part.tolist(), prediction[rows].tolist(), sums.tolist(), strict=True):
        row = {"prediction": value, "base_value": base, "contributions": dict(zip(names, values, strict=True))}
        if abs(total - value) > 1e-9 * max(1.0, abs(total)):
            row["sum_before_link_and_clip"] = total
        found.append(row)
    return found
