"""A column that knows a target's future: refused, or a warning."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from almanac.data.checks import Finding
from almanac.data.validate import run_checks
from almanac.usecase.views import reads
from tests.support import small


def found(other: np.ndarray[tuple[int], np.dtype[np.float64]], load: pl.Series, leaks: str = "error") -> list[Finding]:
    hours = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(load.len())]
    rows = pl.DataFrame({"timestamp": pl.Series(hours, dtype=pl.Datetime("us")), "load": load, "other": other})
    columns = {name: {"type": "float", "description": name} for name in ("load", "other")}
    case = reads(small.usecase(columns=columns, validation={"leaks": leaks}), "validation")
    return [one for one in run_checks(rows, case, None).findings if one.rule == "leak"]


def test_a_column_that_knows_the_next_value_is_named_with_the_figure() -> None:
    rng = np.random.default_rng(0)
    load = rng.normal(size=500)
    future = np.append(load[1:], 0.0)
    finding, *others = found(future + 0.01 * rng.normal(size=500), pl.Series(load))
    assert not others
    assert (finding.severity, finding.column) == ("error", "other")
    assert finding.text.endswith("where it is, say validation.leaks: warning")
    assert [one.severity for one in found(future, pl.Series(load), "warning")] == ["warning"]
    assert [one.severity for one in found(future + 0.15 * rng.normal(size=500), pl.Series(load))] == ["warning"]
    assert "explains by itself 100.0% of load 1h later, where the last value of load explains 0." in finding.text
    assert "available_after" in finding.text


def test_a_column_as_good_as_the_last_value_is_none() -> None:
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=500))
    assert not found(walk * 2 + 0.01 * rng.normal(size=500), pl.Series(walk))
    assert not found(rng.normal(size=500), pl.Series(walk))
    assert not found(np.ones(500), pl.Series(walk))
