"""Gathering of evidence: the figures of table, windows, versions, server and failed run, as far as they can be had."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl

from almanac.core.errors import AlmanacError
from almanac.data.validated import read_validated
from almanac.usecase import UseCase
from operations.agent.alarms import Alarm
from operations.agent.evidence import Evidence
from operations.agent.evidence.failures import failure_figures
from operations.agent.evidence.release import release_figures
from operations.agent.evidence.table import staleness, table_figures
from operations.agent.evidence.windows import window_figures
from operations.agent.failed import Failed
from operations.agent.monitored import Monitored, newest_table
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
        figures |= _failed_run(site.failure(alarm.path))
    if alarm.labels.get("area") != _SERVICE_AREA:
        try:
            usecase, monitored = site.usecase(), site.monitored()
            if usecase is not None:
                targets = tuple(sorted({target.column for target in usecase.targets}))
                if monitored is not None:
                    with monitored.reading() as document:
                        figures |= window_figures(document, targets)
                for table in _tables(site, usecase, alarm, monitored):
                    columns, units = table_figures(usecase, table)
                    if monitored is not None and alarm.source != "run":
                        figures |= _staleness(usecase, table, monitored)
                    figures |= release_figures(usecase, table, site.registry)
        except AlmanacError as error:
            notes.append(without_secrets(str(error)))
    return Evidence(alarm.name, figures, columns, units, targets, tuple(notes))


def _staleness(usecase: UseCase, table: pl.DataFrame, monitored: Monitored) -> dict[str, float]:
    with monitored.reading() as document:
        present = document.get("data_present")
        return {"stale": staleness(usecase, table, datetime.fromisoformat(present))} if present else {}


def _tables(site: "Site", usecase: UseCase, alarm: Alarm, monitored: Monitored | None) -> Iterator[pl.DataFrame]:
    """Yield the newest table, if there is one: of the alarm's own run, of the newest monitoring, or of the training."""
    home = site.runs / site.use_case
    failed = site.failure(alarm.path) if alarm.source == "run" else None
    own = [Path(failed.table)] if failed else []
    with TemporaryDirectory() as folder:
        for path in [*own, _monitored_table(site, monitored, Path(folder)), home / "latest" / "data.parquet"]:
            if path.is_file():
                yield read_validated(usecase, path)
                return


def _monitored_table(site: "Site", monitored: Monitored | None, folder: Path) -> Path:
    """Return the path of the newest monitoring's table, which may be missing; that of a cluster's is fetched."""
    if monitored is None or not monitored.published:
        return site.runs / site.use_case / "monitoring" / "latest" / "data.parquet"
    fetched = folder / "data.parquet"
    with suppress(FileNotFoundError):
        fetched.write_bytes(newest_table(site.registry, site.use_case))
    return fetched


def _failed_run(failed: Failed | None) -> dict[str, float]:
    return failure_figures(failed.step, failed.error) if failed else {}
