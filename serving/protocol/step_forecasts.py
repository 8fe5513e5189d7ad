"""`:steps`: forecasts of every step up to the longest horizon, for entities whose history the store has."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from almanac.model.bundle import Bundle
from almanac.model.columns import Columns
from almanac.model.prediction import Row
from almanac.model.steps import Step
from serving.features.raw_schema import micros_of
from serving.features.records import EntityRequest, Instances, parse, read, read_rows
from serving.prediction.service import LARGE, Service
from serving.protocol.json_lists import PIECE_BYTES, rows_of
from serving.protocol.message import encode
from serving.runtime.errors import invalid
from serving.runtime.http import Reply, Request

Json = dict[str, Any]
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Part(NamedTuple):
    """The steps of a column that one target forecasts, with its rows: all steps of the first origin, then the next."""

    column: str
    steps: list[Step]
    rows: list[Row]


class StepForecasts:
    """The route over a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def forecast(self, request: Request) -> Reply:
        """Forecast every step from the origins that the instances name."""
        name, service = request.model, self._service
        bundle = service.repository.bundle(name)
        request.answered_by = bundle.version
        planned = _planned(bundle, name)
        each = sum(map(len, planned.values()))
        instances = await self._read(request.body, bundle.columns_of(name), each)
        count = len(instances) * each
        origins = await self._run(count, partial(_origins, instances))
        warnings: list[str] = []
        parts: list[_Part] = []
        for column, steps in planned.items():
            for target in dict.fromkeys(step.target for step in steps):
                mine = [step for step in steps if step.target == target]
                asked = await self._run(count, partial(_asked, instances, origins, mine))
                answer = await service.predict(bundle, target, asked)
                warnings += answer.warnings
                parts.append(_Part(column, mine, await self._run(count, answer.outcomes[target].rows)))
        tail: Json = {"model_name": name, "model_version": bundle.version, "model_digest": bundle.digest}
        tail |= {"warnings": list(dict.fromkeys(warnings))} if warnings else {}
        return Reply(await self._run(count, partial(_encoded, instances, origins, parts, tail)))

    async def _read(self, body: bytes, columns: Columns, each: int) -> list[EntityRequest]:
        """Return the instances of a body, of which each gives so many forecasts; a large one is read in pieces."""
        bounds = self._service.bounds
        if len(body) <= PIECE_BYTES:
            instances = _without_history(read(parse(body), columns))
            bounds.check_rows(len(instances) * each)
            return instances
        found: list[EntityRequest] = []
        async for first, rows in rows_of(body, "instances", bounds):
            bounds.check_rows((first + len(rows)) * each)
            found += _without_history(read_rows(rows, columns, first))
        return found

    async def _run(self, forecasts: int, work: Callable[[], T]) -> T:
        return work() if forecasts < LARGE else await self._service.in_thread(work)


def _without_history(instances: Instances) -> list[EntityRequest]:
    if not isinstance(instances, list) or any(each.history is not None or each.event for each in instances):
        raise invalid("instances: every step is forecast from the feature store; send entity and time alone")
    return instances


def _origins(instances: Sequence[EntityRequest]) -> list[int]:
    return [micros_of(each.time, f"{each.location}.time") for each in instances]


def _asked(instances: Sequence[EntityRequest], origins: Sequence[int], steps: Sequence[Step]) -> list[EntityRequest]:
    return [
        EntityRequest(each.location, each.entity, _text(step.made(origin)), None)
        for each, origin in zip(instances, origins, strict=True)
        for step in steps
    ]


def _encoded(instances: Sequence[EntityRequest], origins: Sequence[int], parts: Sequence[_Part], tail: Json) -> bytes:
    """Return the answer as JSON, one origin at a time, since the encoder holds the interpreter lock."""
    forecasts = []
    for at, (each, origin) in enumerate(zip(instances, origins, strict=True)):
        steps: dict[str, list[Json]] = {}
        for column, mine, rows in parts:
            part = rows[at * len(mine) : (at + 1) * len(mine)]
            steps.setdefault(column, []).extend(_step(origin, step, row) for step, row in zip(mine, part, strict=True))
        forecasts.append(encode({"entity": each.entity, "time": _text(origin), "steps": steps}))
    return b'{"forecasts":[%b],%b' % (b",".join(forecasts), encode(tail)[1:])


def _planned(bundle: Bundle, name: str) -> dict[str, list[Step]]:
    """Return the steps of each column, or of the column of one target."""
    planned = bundle.steps
    if name in bundle.targets:
        column = str(bundle.targets[name].signature["target"]["column"])
        planned = {column: planned[column]} if column in planned else {}
    if not planned:
        raise invalid(f"{name}: events and probabilities are not forecast step by step; see :predict")
    return planned


def _step(origin: int, step: Step, row: Row) -> Json:
    values = {output.name: value for output, value in row.present()}
    return {"time": _text(step.due(origin)), "target": step.target, **values}


def _text(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat()
