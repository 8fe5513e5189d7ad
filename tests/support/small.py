"""A small use case of one's own making, to be bent into every shape."""

import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.files import pretty_json
from almanac.data.ingest import ingest
from almanac.data.sources import RetryPolicy
from almanac.usecase import UseCase, dump, load_text

#: Fails at once where a server does not answer.
HASTY = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.02, timeout=2.0)

_SOURCE: dict[str, Any] = {
    "name": "meters",
    "type": "file",
    "title": "Meters",
    "licence": "CC0",
    "path": "meters.csv",
    "read": {"time": {"column": "time"}},
}

_USECASE: dict[str, Any] = {
    "name": "small",
    "title": "Small",
    "description": "A small use case.",
    "time": {"column": "timestamp", "frequency": "1h"},
    "sources": [_SOURCE],
    "columns": {
        "load": {"type": "float", "min": 0, "max": 100, "max_missing": 0.5, "description": "Load", "unit": "kW"},
        "kind": {"type": "category", "categories": ["a", "b"], "max_missing": 0.5, "description": "Kind"},
    },
    "features": {"items": [{"kind": "value", "group": "lagged", "columns": ["load"]}]},
    "targets": [{"name": "load_1h", "column": "load", "horizon": "1h"}],
    "split": {"test_from": "2020-06-01"},
    "training": {"candidates": [{"name": "ridge", "kind": "linear"}]},
    "evaluation": {"season": "24h", "bands": {"edges": [50.0]}},
    "gates": [{"rule": "beats_baselines"}],
    "governance": {"owner": "us", "contact": "us@example.org"},
}

CSV = "time,load,kind\n2020-01-01T00:00,1.5,a\n2020-01-01T01:00,2,b\n2020-01-01T02:00,,a\n2020-01-01T03:00,4,\n"


def source(**changes: Any) -> dict[str, Any]:
    """Return the small use case's source with changed fields; one of another type has no path unless it is given."""
    made = copy.deepcopy(_SOURCE) | changes
    if made["type"] != "file" and "path" not in changes:
        del made["path"]
    return made


def usecase(**changes: Any) -> UseCase:
    """Return the small use case with changed fields."""
    return load_text(pretty_json(copy.deepcopy(_USECASE) | changes), "small")


def data() -> dict[str, Any]:
    """Return the small use case as plain data."""
    return copy.deepcopy(_USECASE)


def take(case: UseCase, base: Path) -> pl.DataFrame:
    """Return the table that a use case's sources give."""
    out = base / "out" / "table.parquet"
    ingest(case, base, base / "cache", out, HASTY)
    return pl.read_parquet(out)


def take_csv(text: str, base: Path, **changes: Any) -> pl.DataFrame:
    """Return the table that a CSV text gives."""
    (base / "meters.csv").write_text(text)
    return take(usecase(**changes), base)


def larger(case: UseCase, factor: int) -> UseCase:
    """Return a use case of `factor` times the size, whose further words do not repeat each other."""
    text = dump(case)
    words, chance = sorted(set(re.findall(r"[a-z]{3,}", text))), random.Random(1)
    data = json.loads(text)
    missing, more = factor * len(text) - len(json.dumps(data)), []
    while missing > 0:
        more.append(" " + chance.choice(words))
        missing -= len(more[-1])
    data["governance"]["owner"] += "".join(more)
    return load_text(json.dumps(data), "larger")
