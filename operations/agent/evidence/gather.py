"""Gathering of evidence: the figures of table, windows, versions, server and failed run, as far as they can be had."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from almanac.core.errors import AlmanacError
from almanac.core.files import read_json
from almanac.data.validated import read_validated
from almanac.usecase import UseCase
from operations.agent.alarms import Alarm
from operations.agent.evidence import Evidence
from operations.agent.evidence.failures import failure_figures
from operations.agent.evidence.release import release_figures
from operations.agent.evidence.table import staleness, table_figures
from operations.agent.evidence.windows import window_figures
from operations.agent.monitored import newest_table
from operations.agent.redaction import without_secrets

if TYPE_CHECKING:
    from operations.agent.site import Site

#: Alarms that are about the service alone, for which nobody has to look at tables.
_SERVICE_AREA = "serving"


def gather(site: "Site", alarm: Alarm) -> Evidence:
    """Return the evidence for an alarm, with a note where it is incomplete."""
    figures: dict[str, float] = {}
    notes: list[str] = []
    columns: dict[str, dict[str, float]] = {}
    units: dict[str, str] = {}
    targets: tuple[str, ...] = ()
    if site.settings.server is not None:
        site.scrapes.add(site.scrape())
        figures |= site.scrapes.figures()
    if alarm.source == "run":
        figures |= _failed_run(Path(alarm.path))
    if alarm.labels.get("area") != _SERVICE_AREA:
        try:
            usecase = site.usecase()
            if usecase is not None:
                targets = tuple(sorted({target.column for target in usecase.targets}))
                figures |= _windows(site, targets)
                for table in _tables(site, usecase, alarm):
                    columns, units = table_figures(usecase, table)
                    figures |= _of_table(site, usecase, table, alarm)
        except AlmanacError as error:
            notes.append(without_secrets(str(error)))
    return Evidence(alarm.name, figures, columns, units, targets, tuple(notes))


def _windows(site: "Site", targets: tuple[str, ...]) -> dict[str, float]:
    document = site.monitoring()
    return window_figures(document, targets) if document else {}


def _of_table(site: "Site", usecase: UseCase, table: pl.DataFrame, alarm: Alarm) -> dict[str, float]:
    document = site.monitoring() or {}
    present = document.get("data_present")
    figures = {}
    if present and alarm.source != "run":
        figures["stale"] = staleness(usecase, table, datetime.fromisoformat(present))
    return figures | release_figures(usecase, table, site.registry)


def _tables(site: "Site", usecase: UseCase, alarm: Alarm) -> Iterator[pl.DataFrame]:
    """Yield the newest table, if there is one: of the alarm's own run, of the newest monitoring, or of the training."""
    home = site.runs / site.use_case
    own = [Path(str(_record(Path(alarm.path)).get("table") or ""))] if alarm.source == "run" else []
    with TemporaryDirectory() as folder:
        for path in [*own, _monitored_table(site, Path(folder)), home / "latest" / "data.parquet"]:
            if path.is_file():
                yield read_validated(usecase, path)
                return


def _monitored_table(site: "Site", folder: Path) -> Path:
    """Return the path of the newest monitoring's table, which may be missing; that of a cluster's is fetched."""
    monitored = site.monitored()
    if monitored is None or not monitored.published:
        return site.runs / site.use_case / "monitoring" / "latest" / "data.parquet"
    fetched = folder / "data.parquet"
    with suppress(FileNotFoundError):
        fetched.write_bytes(newest_table(site.registry, site.use_case))
    return fetched


def _failed_run(path: Path) -> dict[str, float]:
    record = _record(path)
    return failure_figures(str(record.get("step", "")), str(record.get("error", "")))


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = read_json(path)
    except (OSError, ValueError):
        return {}
    return record
