"""Checks of an installation: one module each in `operations.doctor.checks`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from almanac.core.kinds import Kinds
from operations.doctor.finding import Finding
from operations.subject import Subject


@dataclass(frozen=True)
class Patient:
    """An installation.

    Attributes:
        registry: address of the model registry.
        history: address of the history.
        runs: directory of run directories.
        subjects: the use cases.
        servers: addresses of model servers.
        prometheus: address of Prometheus; "" without.
        keys: files that must be their owner's alone, as options name them.
        settings: settings of notifications; None without.
        now: the present.
    """

    registry: str
    history: str
    runs: Path
    subjects: tuple[Subject, ...]
    servers: tuple[str, ...]
    prometheus: str
    keys: tuple[Path, ...]
    settings: Path | None
    now: datetime


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: its name.
        question: what it answers, as the checklist asks it.
        look: returns its findings; an AlmanacError that it raises is a finding, too.
    """

    name: str
    question: str
    look: Callable[[Patient], Iterator[Finding]]


CHECKS: Kinds[Check] = Kinds("check of the doctor", "operations.doctor.checks")
