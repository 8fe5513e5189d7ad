"""The V1 protocol: `:predict`, `:explain`, readiness."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from almanac.core.arrays import Array
from almanac.model.bundle import Bundle
from almanac.model.prediction import Output, Predictions, Row, as_list, outputs
from serving.features.records import Instances, parse, read
from serving.prediction.answers import Answer, Explanation
from serving.prediction.service import LARGE, Service
from serving.prediction.traffic import Traffic
from serving.protocol.chunked import read_in_pieces
from serving.protocol.json_lists import PIECE_BYTES
from serving.protocol.message import encode, json_reply
from serving.protocol.row_answer import RowAnswer
from serving.protocol.row_decoder import RowDecoder
from serving.runtime.http import Reply, Request

Json = dict[str, Any]

#: Bytes of rows by name that are decoded at once, in less than a millisecond: 165 rows of 120 features.
_WHOLE = 512 << 10
#: Rows whose explanations are encoded at a time: each has a number for every feature.
EXPLAINED = 8
#: Rows whose predictions are encoded at a time.
_ENCODED = 256


class _Entry(NamedTuple):
    """State that requests for a model share.

    Attributes:
        decoder: decodes rows by name.
        fast: writes the answers for single rows, which may take the fast path; None where they may not.
    """

    decoder: RowDecoder
    fast: RowAnswer | None


class V1:
    """The V1 routes over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._repository = service.repository
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._served: dict[str, set[str]] = {}

    def follow(self, use_case: str, traffic: Traffic | None) -> None:
        """Forget the decoders of versions that are no longer served."""
        self._served[use_case] = {bundle.digest for bundle in traffic.bundles} if traffic else set()
        served = set().union(*self._served.values())
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] in served}

    async def models(self, request: Request) -> Reply:
        """Return the names of the models."""
        return json_reply({"models": self._repository.names})

    async def ready(self, request: Request) -> Reply:
        """Return whether a model is ready; 503 if not."""
        self._repository.check_ready(request.model)
        request.answered_by = self._repository.use_case(request.model).version
        return json_reply({"name": request.model, "ready": True})

    async def predict(self, request: Request) -> Reply:
        """Predict the instances."""
        name, service = request.model, self._service
        bundle = self._repository.bundle(name)
        request.answered_by = bundle.version
        decoder, fast = self._entries.get((bundle.digest, bundle.version, name)) or self._entry(bundle, name)
        if self._repository.has_shadow:
            fast = None  # a shadow sees whole answers
        # Of a long body even a look at its blanks would hold others up.
        if fast is not None and len(request.body) <= _WHOLE and (row := decoder.row(request.body)) is not None:
            return fast.reply(*service.predict_row(fast.model, row))
        rows = _decoded(decoder, request.body)
        if fast is not None and rows is not None and len(rows) == 1:
            return fast.reply(*service.predict_row(fast.model, rows[0]))
        instances = await self._read(request, bundle, decoder) if rows is None else rows
        if fast is not None and isinstance(instances, list) and len(instances) == 1:
            found, warnings = await service.predict_request(bundle, fast.model, instances[0])
            return json_reply(_row_document(found, warnings, bundle, name))
        answer = await service.predict(bundle, name, instances)
        if len(instances) < LARGE:
            return Reply(encode(predictions(answer, name)))
        return Reply(await self._service.in_thread(lambda: _predictions_in_pieces(answer, name)))

    async def explain(self, request: Request) -> Reply:
        """Explain the predictions of the instances."""
        name = request.model
        bundle = self._repository.bundle(name)
        request.answered_by = bundle.version
        entry = self._entries.get((bundle.digest, bundle.version, name)) or self._entry(bundle, name)
        instances = await self._read(request, bundle, entry.decoder)
        service, done, size, parts = self._service, 0, 0, [b'{"explanations":[']
        async for explanation in service.explain(bundle, name, instances):
            count = explanation.rows
            # The encoder holds the interpreter lock, so a thread encodes few rows at a time.
            rows = (
                _rows_of(explanation, name)
                if count <= EXPLAINED
                else await service.in_thread(partial(_rows_of, explanation, name))
            )
            parts += (b"," if done else b"", rows)
            done, size = done + count, size + len(rows)
            service.bounds.check_answer(size, done, len(instances))
        model = _complete({}, bundle, name, _digest(bundle, name), [])
        return Reply(b"".join([*parts, b"],", encode(model)[1:]]))

    def _entry(self, bundle: Bundle, name: str) -> "_Entry":
        """Build the decoder of a model; it takes milliseconds, so each is kept."""
        model = bundle.targets.get(name)
        # A model that predicts from past values needs more than a row of features.
        fast = None
        if model is not None and not model.predictor.history:
            fast = RowAnswer(model, encode(_complete({}, bundle, name, _digest(bundle, name), [])))
        entry = _Entry(RowDecoder(bundle.columns_of(name)), fast)
        # With the version: the registry may have the same model under two numbers.
        self._entries[bundle.digest, bundle.version, name] = entry
        return entry

    async def _read(self, request: Request, bundle: Bundle, decoder: RowDecoder) -> Instances:
        """Return the instances of a body in any form; a large one is read in pieces."""
        columns = bundle.columns_of(request.model)
        if len(request.body) <= PIECE_BYTES:
            return read(parse(request.body), columns)
        return await read_in_pieces(request.body, decoder, columns, self._service.executor, self._service.bounds)


def _decoded(decoder: RowDecoder, body: bytes) -> Array | None:
    """Return the rows of a body by name (n, f); None for a body that is large, of another form, or faulty."""
    if len(body) > _WHOLE:
        return None
    try:
        rows = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the general reader finds the form, or names the fault
    return rows if len(rows) else None


def predictions(answer: Answer, name: str) -> Json:
    """Return the V1 answer.

    The model of one target answers with lists, `predictions` as numbers as the stock servers do; the model of a use
    case answers with one object for each row, which holds every target's outputs.
    """
    if name in answer.outcomes:
        document = _lists((output, as_list(values)) for output, values in answer.outcomes[name].present())
    else:
        parts = {target: _objects(predicted) for target, predicted in answer.outcomes.items()}
        document = {"predictions": _zipped(parts)}
    return _complete(document, answer.bundle, name, _digest(answer.bundle, name), answer.warnings)


def _predictions_in_pieces(answer: Answer, name: str) -> bytes:
    """Return the V1 answer as JSON, some rows at a time: the objects of all rows at once would be ten times as much."""
    count = len(next(iter(answer.outcomes.values())).prediction)
    parts: dict[str, list[bytes]] = {}
    document: Json = {}
    for at in range(0, count, _ENCODED):
        outcomes = {target: _sliced(values, at, at + _ENCODED) for target, values in answer.outcomes.items()}
        document = predictions(Answer(answer.bundle, outcomes, answer.warnings), name)
        for column, values in document.items():
            if isinstance(values, list) and column != "warnings":
                parts.setdefault(column, []).append(encode(values)[1:-1])
    fields = (
        encode(column) + b":" + (b"[%b]" % b",".join(parts[column]) if column in parts else encode(value))
        for column, value in document.items()
    )
    return b"{%b}" % b",".join(fields)


def _sliced(values: Predictions, start: int, stop: int) -> Predictions:
    parts = (getattr(values, one.attribute) for one in outputs(type(values)))
    build: Callable[..., Predictions] = type(values)
    return build(*(None if part is None else part[start:stop] for part in parts))


def _row_document(row: Row, warnings: list[str], bundle: Bundle, name: str) -> Json:
    """Return the V1 answer for one request by entity of one target, as `predictions` does for several."""
    document = _lists((output, [value]) for output, value in row.present())
    return _complete(document, bundle, name, _digest(bundle, name), warnings)


def _complete(document: Json, bundle: Bundle, name: str, digest: str, warnings: list[str]) -> Json:
    document["model_name"] = name
    document["model_version"] = bundle.version
    document["model_digest"] = digest
    if warnings:
        document["warnings"] = warnings
    return document


def _digest(bundle: Bundle, name: str) -> str:
    return (bundle.targets.get(name) or bundle).digest


def _lists(present: Iterable[tuple[Output, list[Any]]]) -> Json:
    """Return the columns of an answer; outputs that share one become the fields of its objects."""
    document: Json = {}
    for output, values in present:
        document[output.column] = _joined(document.get(output.column), output.name, values) if output.shared else values
    return document


def _objects(predicted: Predictions) -> list[Json]:
    objects: list[Json] | None = None
    for output, values in predicted.present():
        objects = _joined(objects, output.name, as_list(values))
    return objects or []


def _joined(objects: list[Json] | None, name: str, values: list[Any]) -> list[Json]:
    if objects is None:
        return [{name: value} for value in values]
    for one, value in zip(objects, values, strict=True):
        one[name] = value
    return objects


def _zipped(parts: dict[str, list[Any]]) -> list[Json]:
    """Return one object for each row from the rows of each target."""
    return [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]


def _rows_of(explanation: Explanation, name: str) -> bytes:
    """Return the items of a V1 answer of `:explain`: base value and each feature's contribution to the sum of a row."""
    pieces = (slice(at, at + EXPLAINED) for at in range(0, explanation.rows, EXPLAINED))
    return b",".join(encode(_explained(explanation, name, piece))[1:-1] for piece in pieces)


def _explained(explanation: Explanation, name: str, rows: slice) -> list[Any]:
    parts = {target: _contributions(explanation, target, rows) for target in explanation.parts}
    return parts[name] if name in parts else _zipped(parts)


def _contributions(explanation: Explanation, target: str, rows: slice) -> list[Json]:
    contributions, base, prediction = explanation.parts[target]
    names, part = explanation.bundle.targets[target].columns.names, contributions[rows]
    sums = base + np.asarray(part.sum(axis=1))
    explained = []
    for values, value, total in zip(part.tolist(), prediction[rows].tolist(), sums.tolist(), strict=True):
        row = {"prediction": value, "base_value": base, "contributions": dict(zip(names, values, strict=True))}
        # A link function or a bound makes the prediction differ from the sum.
        if abs(total - value) > 1e-9 * max(1.0, abs(total)):
            row["sum_before_link_and_clip"] = total
        explained.append(row)
    return explained
