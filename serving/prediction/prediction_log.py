"""The prediction log, which the monitoring pipeline joins with the observed values once they are known.

A line holds the fields of the batch pipeline: entity, time, target, the outputs and the version. Only requests by
entity or with history are logged: rows by name have no time, and so no observed value to compare with. A line says
whether its history was the client's own, which may be no history at all but a question of what would be if.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from almanac.core.errors import ServingError
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.prediction import Row, outputs
from monitoring.metrics import Metrics
from serving.features.raw_schema import micros_of
from serving.features.records import EntityRequest
from serving.features.store.observations import DEFAULT_ENTITY
from serving.runtime.line_file import DailyFile
from serving.runtime.line_writer import LineWriter, LogState
from serving.runtime.object_log import ObjectLog
from serving.runtime.redaction import redacted

_ENCODER = msgspec.json.Encoder()


class PredictionLog:
    """Writes predictions below `<log>/<use case>/`: to a file a day of this process, or as segments to an object store.

    Args:
        log: the log's directory or URL, as the monitoring pipeline's parameter `log` names it.
        bundle: the model that is served, for the names of its columns.
        metrics: the metrics of lost lines.

    Raises:
        ServingError: the log cannot be written, or the model only takes rows.
    """

    def __init__(self, log: str, bundle: Bundle, metrics: Metrics) -> None:
        spec = next(iter(bundle.targets.values())).features.get("spec")
        if spec is None:
            raise ServingError(f"--prediction-log: {bundle.use_case} has no feature specification, hence no moments")
        self._time, self._entity = str(spec["time"]), spec.get("entity")
        state = LogState("predictions", metrics)
        try:
            self.writer = LineWriter(_destination(log, bundle.use_case, state.drop), self._line, state)
        except OSError as error:
            raise ServingError(f"--prediction-log {redacted(log)}: cannot be written ({error.strerror})") from error

    def put(self, model: Model, request: EntityRequest, row: Row) -> None:
        """Queue the prediction of one request."""
        self.writer.put((model, request, row))

    def _line(self, item: tuple[Model, EntityRequest, Row]) -> bytes:
        model, request, row = item
        micros = micros_of(request.time, request.location)
        line: dict[str, Any] = {self._entity: request.entity or DEFAULT_ENTITY} if self._entity else {}
        line |= {
            self._time: datetime.fromtimestamp(micros / 1e6, UTC).replace(tzinfo=None).isoformat(),
            "target": model.name,
            **{output.name: getattr(row, output.attribute) for output in outputs(type(row)) if output.logged},
            "version": int(model.version) if model.version.isdigit() else None,
            # What-if questions are not forecasts: monitoring leaves them out.
            "own_history": request.history is not None,
        }
        return _ENCODER.encode(line)


class PredictionLogs:
    """The prediction log of each use case.

    Args:
        log: as `PredictionLog`.
        metrics: the metrics of lost lines.
    """

    def __init__(self, log: str, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._logs: dict[str, PredictionLog] = {}

    def check(self, bundle: Bundle) -> None:
        """Open the log of a use case before its first version takes over.

        Raises:
            ServingError: as `PredictionLog`.
        """
        if bundle.use_case not in self._logs:
            self._logs[bundle.use_case] = PredictionLog(self._log, bundle, self._metrics)

    def put(self, bundle: Bundle, model: Model, request: EntityRequest, row: Row) -> None:
        """Queue the prediction of one request."""
        self._logs[bundle.use_case].put(model, request, row)

    def close(self) -> None:
        """Write the queued lines, and close."""
        for log in self._logs.values():
            log.writer.close()


def _destination(log: str, use_case: str, dropped: Callable[[int], None]) -> DailyFile | ObjectLog:
    local = log.removeprefix("file://")
    if "://" not in local:
        return DailyFile(Path(local) / use_case)
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(f"{log.rstrip('/')}/{use_case}")
    except (ImportError, ValueError) as error:
        raise ServingError(
            f"--prediction-log {redacted(log)}: {error}; expected a directory, s3:// or gs://"
        ) from error
    return ObjectLog(filesystem, path, dropped)
