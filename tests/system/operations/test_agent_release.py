"""Evidence on the version in production against the one before it, by the models themselves."""

from pathlib import Path

import polars as pl

from almanac.data.validated import read_validated
from governance.registry import Registry
from operations.agent.evidence import release
from tests.support.production import Production, two_versions


def test_two_versions_are_compared_on_the_same_rows(production: Production, tmp_path: Path) -> None:
    table, case = read_validated(production.case, production.table), production.case
    assert release.release_figures(case, table, production.registry) == {}
    address = two_versions(production, tmp_path)
    Registry(address).promote(case.name, 2, who="bob", why="better")
    # Two ridges that differ in their penalty: one is a little worse, and neither is news.
    assert 0 <= release.release_figures(case, table, address)["release.worse"] < 1
    unknown = pl.when(pl.int_range(pl.len()) % 3 == 0).then(float("nan")).otherwise(pl.col("pm25"))
    assert release.release_figures(case, table.with_columns(pm25=unknown), address)["release.worse"] < 1
    assert release.release_figures(case, table.with_columns(pm25=float("nan")), address) == {}
