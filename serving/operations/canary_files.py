"""Orders and evidence of canaries in files, which the workers of a server share and which outlive it.

    canary-air.json                         the newest order or verdict about the use case air
    canary-air-3f…-a91c….evidence.json      evidence of the canary 3f… that the process a91c… has seen

A process that ends leaves its evidence, which counts on: differences that several processes measure between the same
two versions are of one distribution, whoever measured them.
"""

import fcntl
import logging
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from almanac.core.files import read_json, write_json
from serving.prediction.canary import State

Evidence = dict[str, Any]
_LOG = logging.getLogger("almanac.serving")


@dataclass(frozen=True, slots=True)
class Order:
    """The newest order or verdict about the canary of a use case.

    Attributes:
        number: how many there were before.
        canary: id of the canary.
        version: the new version as it was ordered: a number in the registry, or an address.
        running: digest of the running version.
        new: digest of the new one.
        percent: share of the requests.
        state: state of the canary.
        reason: reason of the state.
        began: differences that there were when the share was set.
    """

    number: int
    canary: str
    version: str
    running: str
    new: str
    percent: float
    state: State
    reason: str
    began: int


class CanaryFiles:
    """The files of one process.

    Args:
        directory: where they are; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        # No process id: one is given again, to a process whose evidence is another.
        self._process = secrets.token_hex(6)

    def order(self, use_case: str) -> Order | None:
        """Return the newest order, None where there is none or it cannot be read."""
        try:
            return Order(**read_json(self._path(use_case)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            _LOG.warning("%s is not read: %s", self._path(use_case), error)
            return None

    def put(self, use_case: str, order: Order) -> bool:
        """Write an order, unless another process has written one meanwhile; return whether it is written."""
        with open(self._path(use_case).with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            newest = self.order(use_case)
            if newest is not None and newest.number >= order.number:
                return False
            write_json(self._path(use_case), asdict(order))
            if newest is not None and newest.canary != order.canary:
                for path in self._directory.glob(f"canary-{use_case}-{newest.canary}-*.evidence.json"):
                    path.unlink(missing_ok=True)
            return True

    def write(self, use_case: str, canary: str, evidence: Evidence) -> None:
        """Write this process's evidence."""
        write_json(self._directory / f"canary-{use_case}-{canary}-{self._process}.evidence.json", evidence)

    def elsewhere(self, use_case: str, canary: str) -> list[Evidence]:
        """Return the evidence of all other processes, those that have ended among them."""
        found = []
        for path in sorted(self._directory.glob(f"canary-{use_case}-{canary}-*.evidence.json")):
            if self._process not in path.name:
                try:
                    found.append(read_json(path))
                except (OSError, ValueError) as error:
                    _LOG.warning("%s is not read: %s", path, error)
        return found

    def _path(self, use_case: str) -> Path:
        return self._directory / f"canary-{use_case}.json"
