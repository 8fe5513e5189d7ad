"""The V1 protocol: `:predict`, `:explain`, readiness."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from serving.http.message import LARGE_BODY, Reply, Request, encode, json_reply
from serving.inputs.records import Moment, parse, read
from serving.inputs.schema import RowDecoder, matrix
from serving.models.bundle import Bundle
from serving.models.target import Outcome, Row, Target
from serving.refusal import not_ready
from serving.service import Answer, Explanation, Service

Array = npt.NDArray[np.float64]

_PIECE = 64


class V1:
    """The V1 routes over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._repository = service.repository

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
        decoder = target.decoder if target is not None else bundle.decoder
        if len(request.body) > LARGE_BODY:
            return await self._predict_large(request, bundle, decoder)
        try:
            rows = decoder.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            rows = []  # of another form, or faulty: the general reader finds out
        alone = target if self._repository.traffic.second is None else None
        if alone is not None and len(rows) == 1:
            return _one(bundle, alone, *service.row(alone, rows[0]))
        given = matrix(rows) if rows else read(parse(request.body), bundle.columns_of(name))
        if alone is not None and isinstance(given, list) and len(given) == 1:
            return _one(bundle, alone, *await service.moment(alone, given[0]))
        answer = await service.predict(bundle, name, given)
        return Reply(encode(predictions(answer, name)))

    async def _predict_large(self, request: Request, bundle: Bundle, decoder: RowDecoder) -> Reply:
        """Predict many rows in pieces between which others are answered."""
        name, loop = request.model, asyncio.get_running_loop()
        try:
            given: Array | list[Moment] = await _in_pieces(decoder, request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            columns = bundle.columns_of(name)
            given = await loop.run_in_executor(self._service.executor, lambda: read(parse(request.body), columns))
        answer = await self._service.predict(bundle, name, given)
        body = await loop.run_in_executor(self._service.executor, lambda: encode(predictions(answer, name)))
        return Reply(body)

    async def explain(self, request: Request) -> Reply:
        """Explain the predictions of the instances."""
        name = request.model
        bundle = self._repository.bundle(name)
        request.answered_by = bundle.version
        given = read(parse(request.body), bundle.columns_of(name))
        explanation = await self._service.explain(bundle, name, given)
        return Reply(encode(explanations(explanation, name)))


async def _in_pieces(decoder: RowDecoder, body: bytes) -> Array:
    rows = decoder.split(body)
    if not rows:
        raise msgspec.ValidationError("no rows")
    parts = []
    for at in range(0, len(rows), _PIECE):
        parts.append(decoder.part(rows[at : at + _PIECE]))
        await asyncio.sleep(0)
    return np.concatenate(parts)


def _one(bundle: Bundle, target: Target, row: Row, warnings: list[str]) -> Reply:
    """Return the answer for one row of one target, as `predictions` would."""
    prediction, lower, upper, signal = row
    document: dict[str, Any] = {"predictions": [prediction]}
    if lower is not None:
        document["intervals"] = [{"lower": lower, "upper": upper}]
    if signal is not None:
        document["signals"] = [signal]
    document["model_name"] = target.name
    document["model_version"] = bundle.version
    document["model_digest"] = target.digest
    if warnings:
        document["warnings"] = warnings
    return Reply(encode(document))


def predictions(answer: Answer, name: str) -> dict[str, Any]:
    """Return the V1 answer.

    The model of one target answers with numbers, as the stock servers do, and intervals and signals beside them; the
    model of a use case answers with one object a row that holds every target's.
    """
    if name in answer.outcomes:
        document = _columns(answer.outcomes[name])
    else:
        parts = {target: _objects(outcome) for target, outcome in answer.outcomes.items()}
        document = {"predictions": [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]}
    document |= _model(answer.bundle, name)
    if answer.warnings:
        document["warnings"] = answer.warnings
    return document


def _model(bundle: Bundle, name: str) -> dict[str, Any]:
    digest = bundle.targets[name].digest if name in bundle.targets else bundle.digest
    return {"model_name": name, "model_version": bundle.version, "model_digest": digest}


def _columns(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = {"predictions": outcome.prediction.tolist()}
    if outcome.lower is not None and outcome.upper is not None:
        ends = zip(outcome.lower.tolist(), outcome.upper.tolist(), strict=True)
        document["intervals"] = [{"lower": lower, "upper": upper} for lower, upper in ends]
    if outcome.signals is not None:
        document["signals"] = outcome.signals
    return document


def _objects(outcome: Outcome) -> list[dict[str, Any]]:
    rows = [{"prediction": value} for value in outcome.prediction.tolist()]
    if outcome.lower is not None and outcome.upper is not None:
        for row, lower, upper in zip(rows, outcome.lower.tolist(), outcome.upper.tolist(), strict=True):
            row |= {"lower": lower, "upper": upper}
    for row, signal in zip(rows, outcome.signals or [], strict=False):
        row["signal"] = signal
    return rows


def explanations(explanation: Explanation, name: str) -> dict[str, Any]:
    """Return the V1 answer of `:explain`: for each row the base value and each feature's contribution to the sum."""
    parts = {target: _contributions(explanation, target) for target in explanation.parts}
    if name in parts:
        rows: list[Any] = parts[name]
    else:
        rows = [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]
    return {"explanations": rows, **_model(explanation.bundle, name)}


def _contributions(explanation: Explanation, target: str) -> list[dict[str, Any]]:
    contributions, base, prediction = explanation.parts[target]
    names = explanation.bundle.targets[target].columns.names
    sums = base + np.asarray(contributions.sum(axis=1))
    rows = []
    for values, value, total in zip(contributions.tolist(), prediction.tolist(), sums.tolist(), strict=True):
        row = {"prediction": value, "base_value": base, "contributions": dict(zip(names, values, strict=True))}
        if abs(total - value) > 1e-9 * max(1.0, abs(total)):
            row["sum_before_link_and_clip"] = total
        rows.append(row)
    return rows
