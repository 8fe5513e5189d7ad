"""Maintenance of a running server: log level, caches, reload; each order is carried out once in every worker.

An order has an id of its sender's choice. Repeated, it changes nothing, so that a sender that was interrupted may send
it again.
"""

import asyncio
import fcntl
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from almanac.core.errors import AlmanacError
from almanac.core.files import read_json, write_json
from serving.runtime.errors import HTTPError
from serving.runtime.http import Observe
from serving.runtime.line_writer import LineWriter
from serving.runtime.logs import access_log

Level = Literal["debug", "info"]
_LOOK_SECONDS = 0.25
#: Orders that are remembered; the ids of older ones are forgotten.
_KEPT = 200
_LOG = logging.getLogger("almanac.serving")


@dataclass(frozen=True, slots=True)
class Order:
    """An order.

    Attributes:
        order: its id.
        kind: clear_caches, reload or log_level.
        value: name of the model, or the level; "" without.
        until: end of a raised level, seconds since the epoch; 0 for none.
    """

    order: str
    kind: str
    value: str
    until: float


class LogLevel:
    """The level of the log: `info`, or for a while `debug`, at which every request has a line.

    Args:
        observers: those of the transport.
        writer: writer of the log.
        usual: requests that are logged at `info`.
    """

    def __init__(self, observers: list[Observe], writer: LineWriter, usual: Literal["all", "errors", "off"]) -> None:
        self._observers = observers
        self._usual = observers[0] if usual != "off" else None
        self._all = access_log(writer, "all")
        self.level: Level = "info"

    def set(self, level: Level) -> None:
        """Set the level."""
        if level == self.level:
            return
        self.level = level
        logging.getLogger("almanac").setLevel(logging.DEBUG if level == "debug" else logging.NOTSET)
        new, old = (self._all, self._usual) if level == "debug" else (self._usual, self._all)
        if old in self._observers:
            self._observers.remove(old)
        if new is not None:
            self._observers.insert(0, new)


class Maintenance:
    """Carries out orders, those to other workers as well.

    Args:
        clear: empties this worker's caches.
        load: loads the newest version of the model of a name.
        log: the level of the log.
        directory: where the workers of a server share orders; None for a single process.
    """

    def __init__(
        self,
        clear: Callable[[], None],
        load: Callable[[str], Awaitable[None]],
        log: LogLevel,
        directory: Path | None,
    ) -> None:
        self._clear, self._load, self._log = clear, load, log
        self._path = directory / "maintenance.json" if directory is not None else None
        self._orders: dict[str, Order] = {}
        self._until = 0.0
        self._turn = asyncio.Lock()
        # A worker that replaces another one has nothing cached, and has loaded the newest versions.
        for one in self._shared():
            self._orders[one.order] = one
            if one.kind == "log_level":
                self._set_level(one)

    async def take(self, order: str, kind: str, value: str = "", seconds: float = 0.0) -> dict[str, Any]:
        """Carry an order out unless it was carried out before, and return the state."""
        # In turn: a sender may repeat an order while it is being carried out.
        async with self._turn:
            if order not in {*self._orders, *(one.order for one in self._shared())}:
                new = Order(order, kind, value, time.time() + seconds if seconds else 0.0)
                await self._carry_out(new)
                self._remember(new)
                self._share(new)
        return self.describe()

    def describe(self) -> dict[str, Any]:
        """Return the level of the log, how long it holds, and the ids of the orders that were dealt with."""
        left = max(0.0, self._until - time.time())
        return {"log_level": self._log.level, "seconds": round(left, 1), "orders": list(self._orders)}

    async def run(self) -> None:
        """Follow the orders to other workers, and lower the level in time, again and again."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.follow()
            except (AlmanacError, OSError) as error:  # the next round must still run
                _LOG.error("orders were not read: %s", error)
            if self._log.level == "debug" and time.time() >= self._until > 0:
                self._log.set("info")
                _LOG.info("the log is at its usual level again")

    async def follow(self) -> None:
        """Carry out the orders to other workers that are new, each once, whether it succeeds or not.

        Raises:
            AlmanacError: their file cannot be read.
            OSError: likewise.
        """
        async with self._turn:
            for one in self._shared():
                if one.order in self._orders:
                    continue
                # Before it is carried out: one that fails must not hold up those behind it.
                self._remember(one)
                try:
                    await self._carry_out(one)
                except (AlmanacError, HTTPError, OSError) as error:
                    _LOG.error("order %s: %s %s failed: %s", one.order[:12], one.kind, one.value, error)

    async def _carry_out(self, order: Order) -> None:
        match order.kind:
            case "clear_caches":
                self._clear()
            case "reload":
                await self._load(order.value)
            case _:
                self._set_level(order)
        _LOG.info("order %s: %s %s", order.order[:12], order.kind, order.value)

    def _remember(self, order: Order) -> None:
        self._orders[order.order] = order
        while len(self._orders) > _KEPT:
            del self._orders[next(iter(self._orders))]

    def _set_level(self, order: Order) -> None:
        """Set the level of an order, unless its time is over."""
        self._log.set("debug" if order.value == "debug" and order.until > time.time() else "info")
        self._until = order.until

    def _share(self, order: Order) -> None:
        if self._path is None:
            return
        with open(self._path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            write_json(self._path, [asdict(one) for one in [*self._shared(), order][-_KEPT:]])

    def _shared(self) -> list[Order]:
        if self._path is None or not self._path.exists():
            return []
        return [Order(**one) for one in read_json(self._path)]
