"""`:steps`: forecasts of every step up to the longest horizon, for entities whose history the store has."""

from datetime import UTC, datetime, timedelta
from typing import Any

from almanac.model.bundle import Bundle
from almanac.model.prediction import Row
from almanac.model.steps import Step
from serving.features.raw_schema import micros_of
from serving.features.records import EntityRequest, parse, read
from serving.prediction.service import Service
from serving.protocol.message import encode
from serving.runtime.errors import invalid
from serving.runtime.http import Reply, Request

Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        instances = read(parse(request.body), bundle.columns_of(name))
        if not isinstance(instances, list) or any(each.history is not None or each.event for each in instances):
            raise invalid("instances: every step is forecast from the feature store; send entity and time alone")
        service.bounds.check_rows(len(instances) * sum(map(len, planned.values())))
        origins = [micros_of(each.time, f"{each.location}.time") for each in instances]
        forecasts: list[Json] = [
            {"entity": each.entity, "time": _text(origin), "steps": {column: [] for column in planned}}
            for each, origin in zip(instances, origins, strict=True)
        ]
        warnings: list[str] = []
        for column, steps in planned.items():
            for target in dict.fromkeys(step.target for step in steps):
                mine = [step for step in steps if step.target == target]
                asked = [
                    EntityRequest(each.location, each.entity, _text(origin - step.back), None)
                    for each, origin in zip(instances, origins, strict=True)
                    for step in mine
                ]
                answer = await service.predict(bundle, target, asked)
                warnings += answer.warnings
                rows = answer.outcomes[target].rows()
                for at, (forecast, origin) in enumerate(zip(forecasts, origins, strict=True)):
                    part = rows[at * len(mine) : (at + 1) * len(mine)]
                    forecast["steps"][column] += [
                        _step(origin, step, row) for step, row in zip(mine, part, strict=True)
                    ]
        document = {"forecasts": forecasts, "model_name": name, "model_version": bundle.version}
        document["model_digest"] = bundle.digest
        return Reply(encode(document | ({"warnings": list(dict.fromkeys(warnings))} if warnings else {})))


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
    return {"time": _text(origin + step.ahead), "target": step.target, **values}


def _text(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat()
