"""Events at the server: outcomes in the memory of a worker, and the features of events that are to come."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.core.files import canonical_json
from almanac.core.grid import Grid
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from monitoring.metrics import INGESTED, Metrics
from serving.features.raw_schema import RawColumn, micros_of
from serving.features.records import EntityRequest
from serving.features.store.observations import IngestResult
from serving.features.values import json_type, name_list, shortened
from serving.runtime.errors import invalid

if TYPE_CHECKING:
    from almanac.features.events.engine import Event, EventEngine


#: Most characters of an entity's name.
_LONGEST = 200


def has_events(model: Model) -> bool:
    """Return whether the features of a model are those of events."""
    return model.spec.get("events") is not None


class EventSchema:
    """The columns of an event.

    Args:
        model: a model of events.

    Attributes:
        time: name of the time column.
        grid: steps of one microsecond, in which the newest time is counted.
        names: the other columns, but for the entity.
    """

    def __init__(self, model: Model) -> None:
        inputs = model.signature["inputs"]
        self.time = str(model.spec["time"])
        self.grid = Grid(1)
        self.entity = str(model.spec["entity"])
        items = [item for item in inputs if item["name"] not in (self.time, self.entity)]
        self.texts = [str(item["name"]) for item in items if item["type"] in ("category", "text")]
        self.categories = {str(item["name"]): item["categories"] for item in items if item.get("categories")}
        self.numbers = {
            str(item["name"]): RawColumn(
                str(item["name"]),
                None,
                float("-inf") if item.get("min") is None else float(item["min"]),
                float("inf") if item.get("max") is None else float(item["max"]),
                item.get("nullable") is not False,
            )
            for item in items
            if item["type"] in ("float", "integer")
        }
        self.names = (*self.texts, *self.numbers)

    def event(self, key: Any, time: Any, row: Mapping[str, Any], needed: set[str], location: str) -> "Event":
        """Return an event from a row of a request.

        Raises:
            HTTPError: a column that is missing, unknown, of another type, or beyond its range.
        """
        from almanac.features.events.engine import Event

        if missing := sorted(needed - row.keys()):
            raise invalid(f"{location}: missing column {name_list(missing)}")
        if unknown := sorted(row.keys() - set(self.names)):
            raise invalid(
                f"{location}: unknown column {name_list(unknown)}; an event has {name_list(list(self.names), 12)}"
            )
        texts = {name: self._text(name, row[name], f"{location}.{name}") for name in self.texts if name in row}
        numbers = {
            name: column.value(row[name], f"{location}.{name}") for name, column in self.numbers.items() if name in row
        }
        moment = micros_of(time, f"{location}.{self.time}")
        return Event(moment, _name(key, f"{location}.{self.entity}"), {**texts, self.entity: str(key)}, numbers)

    def time_text(self, micros: int) -> str:
        """Return a time as ISO 8601."""
        return datetime.fromtimestamp(micros / 1e6, UTC).replace(tzinfo=None).isoformat()

    def _text(self, name: str, value: Any, location: str) -> str | None:
        if value is None:
            return None
        text = _name(value, location)
        known = self.categories.get(name)
        if known is not None and text not in known:
            raise invalid(f"{location}: {shortened(text)} is not a known category; one of {name_list(known, 12)}")
        return text


class EventStore:
    """The past events of a use case, in the memory of this worker; also its `Ingestor`.

    Args:
        bundle: the version that opens it.
        metrics: the metrics.
    """

    def __init__(self, bundle: Bundle, metrics: Metrics) -> None:
        model = next(iter(bundle.targets.values()))
        self.schema = EventSchema(model)
        self.entity = self.schema.entity
        self._metrics = metrics
        self._events: list[Event] = []
        self._engines: dict[bytes, EventEngine] = {}

    @property
    def store(self) -> "EventStore":
        """The store of the ingestor: itself."""
        return self

    async def newest(self, entity: str | None) -> int | None:
        """Return the time of the newest event, in µs since the epoch."""
        return self._events[-1].time if self._events else None

    async def close(self) -> None:
        """Close nothing: the events are in memory."""

    async def leave_out(self, entity: str, time: str) -> None:
        """Do nothing: a history of events is taken whole."""

    async def leave_out_rows(self, bundle: Bundle, observations: Any) -> None:
        """Do nothing, as `leave_out`."""

    async def append(self, bundle: Bundle, observations: Any) -> IngestResult:
        """Append events with their outcomes, in order of time, and of entity where times are equal.

        Raises:
            HTTPError: an event that breaks a rule, or does not come after those before it; none is kept then.
        """
        return self._take(bundle, observations, skip=False)

    async def fill(self, bundle: Bundle, observations: Any) -> IngestResult:
        """Append the events that come after those of the store, in any order."""
        return self._take(bundle, observations, skip=True)

    def row(self, model: Model, request: EntityRequest) -> Array:
        """Return the features (f,) of an event that is to come, or of an earlier one as it was then.

        Raises:
            HTTPError: the event lacks a column that its features read.
        """
        engine, needed = self._engine(model), self._known(model)
        # Where features read the past alone, an event is its time and entity.
        given = {} if request.event is None and not needed else request.event
        if not isinstance(given, dict):
            raise invalid(f"{request.location}: missing field event, an object with {name_list(sorted(needed), 12)}")
        event = self.schema.event(request.entity, request.time, given, needed, f"{request.location}.event")
        row = engine.row(event)
        names = list(model.columns.names)
        return row if names == engine.names else row[[engine.names.index(name) for name in names]]

    def known(self, bundle: Bundle) -> list[str]:
        """Return the columns that a request for an event needs: those known before it that features read."""
        return sorted(set().union(*(self._known(model) for model in bundle.targets.values())))

    def check(self, model: Model) -> None:
        """Make the engine of a version.

        Raises:
            ModelError: its features read another entity than the stored events have.
        """
        if model.spec.get("entity") != self.entity:
            raise ModelError(f"events of {self.entity} where the model takes those of {model.spec.get('entity')}")
        self._engine(model)

    def _take(self, bundle: Bundle, observations: Any, skip: bool) -> IngestResult:
        if not isinstance(observations, list) or not observations:
            raise invalid("observations: expected a list of at least one event")
        model = next(iter(bundle.targets.values()))
        needed = self._known(model) | set(model.spec["events"]["outcomes"])
        events = [self._read(row, needed, f"observations[{at}]") for at, row in enumerate(observations)]
        if skip:
            last = _place(self._events[-1]) if self._events else None
            events = sorted((one for one in events if last is None or _place(one) > last), key=_place)
        previous = self._events[-1] if self._events else None
        for at, event in enumerate(events):
            if previous is not None and _place(event) <= _place(previous):
                raise invalid(
                    f"observations[{at}]: {shortened(event.key)} of {self.schema.time_text(event.time)} does not come "
                    f"after {shortened(previous.key)} of {self.schema.time_text(previous.time)}; events are taken in "
                    "order of time, each once"
                )
            previous = event
        for event in events:
            for engine in self._engines.values():
                engine.learn(event)
        self._events += events
        self._metrics.counter(INGESTED).labels(bundle.use_case).inc(len(events))
        return IngestResult(len(events), 0)

    def _read(self, row: Any, needed: set[str], location: str) -> "Event":
        if not isinstance(row, dict):
            raise invalid(f"{location}: {json_type(row)}; expected an object of columns")
        rest = {name: value for name, value in row.items() if name not in (self.schema.time, self.entity)}
        return self.schema.event(row.get(self.entity), row.get(self.schema.time), rest, needed, location)

    def _known(self, model: Model) -> set[str]:
        """Return the columns known before an event that the features of a model read."""
        from almanac.features.events.engine import needed

        engine = self._engine(model)
        texts, numbers = needed(engine.spec)
        return {name for name in (*texts, *numbers) if name != self.entity} - set(engine.events.outcomes)

    def _engine(self, model: Model) -> "EventEngine":
        """Return the engine of a model's specification, which has learned all events; targets share one."""
        from almanac.features.events.engine import EventEngine
        from almanac.features.spec import FeatureSpec

        digest = canonical_json(model.spec)
        engine = self._engines.get(digest)
        if engine is None:
            engine = EventEngine(FeatureSpec.read(model.spec, str(model.directory.path / "features.json")))
            for event in self._events:
                engine.learn(event)
            self._engines[digest] = engine
        return engine


def _place(event: "Event") -> tuple[int, str]:
    return event.time, event.key


def _name(value: Any, location: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise invalid(f"{location}: expected text of 1 to {_LONGEST} characters")
    return value
