"""Fill the server's feature store again from the newest rows of a table."""

from typing import TYPE_CHECKING

import polars as pl

from almanac.core.errors import AgentError
from monitoring import metrics
from operations.agent.actions import Action, Values

if TYPE_CHECKING:
    from operations.agent.site import Site

_CHUNK = 2_000
#: Newest times whose rows are sent: more than any look-back of features needs.
_TIMES = 4_000


class _SeedHistory(Action):
    name = "seed_history"
    title = "Fill the feature store from the newest rows"
    inverse = "none: observations are facts, and a row that the store has is kept once"
    reversible = False

    def plan(self, site: "Site", cause: str) -> Values | None:
        if not site.settings.server or not site.settings.history:
            return None
        return {"times": _TIMES} if _table(site).height else None

    def observe(self, site: "Site", parameters: Values) -> Values:
        return {"newest": _newest(site)}

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        rows, kept = _rows(_newest_rows(site, parameters["times"])), 0
        for at in range(0, len(rows), _CHUNK):
            answer = site.client().ask(
                "POST", f"/v1/models/{site.model}:ingest", {"observations": rows[at : at + _CHUNK]}
            )
            kept += answer["ingested"]
        return {"kept": kept}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        # Ingesting is idempotent, so that a part that was sent may be sent again.
        return False


def _table(site: "Site") -> pl.DataFrame:
    path = site.settings.history or ""
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise AgentError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from None


def _newest_rows(site: "Site", count: int) -> pl.DataFrame:
    """Return the rows of the newest times, oldest first; those of every entity, which a table may hold in turn."""
    table, usecase = _table(site), site.usecase()
    times = [name for name, dtype in table.schema.items() if dtype.is_temporal()]
    time = usecase.time.column if usecase is not None else next(iter(times), "")
    if time not in times:
        raise AgentError(f"{site.settings.history}: no column of times {time!r}; it has {', '.join(table.columns)}")
    first = table[time].drop_nulls().unique().sort().tail(count).min()
    return table.filter(pl.col(time) >= first).sort(time, maintain_order=True)


def _rows(table: pl.DataFrame) -> list[dict[str, object]]:
    times = [name for name, dtype in table.schema.items() if dtype.is_temporal()]
    return table.with_columns(pl.col(name).dt.to_string("iso:strict") for name in times).fill_nan(None).to_dicts()


def _newest(site: "Site") -> float:
    return max(site.scrape().values(metrics.DATA_NEWEST.name), default=0.0)


KIND = _SeedHistory()
