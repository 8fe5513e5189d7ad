"""References of a comparison by address, tables to compare with them, and the comparison in a few lines."""

from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import DriftError
from almanac.core.files import read_json
from almanac.drift import Comparison, Profile, profile, read
from almanac.drift.measures import MEASURES
from almanac.drift.profiles.reading import parquet_schema
from almanac.drift.profiles.tables import Source

#: Values of a table beyond which it is streamed, and must be sorted by time.
_LARGE = 1 << 25


def model_reference(address: str) -> Path | None:
    """Return the reference frozen with a model; None for the address of a table or a profile."""
    if address.startswith("registry:"):
        from governance.registry import resolve

        address, _, target = address.partition("#")
        return _reference_file(resolve(address), target)
    path = Path(address)
    # A directory of Parquet files is a table in partitions, any other one a model.
    return _reference_file(path, "") if path.is_dir() and not any(path.glob("**/*.parquet")) else None


def read_reference(address: str, frozen: Path | None, settings: dict[str, Any]) -> Profile:
    """Return the reference at an address.

    Args:
        address: a profile or a table.
        frozen: the reference frozen with a model, where the address is that of one; see `model_reference`.
        settings: arguments of `almanac.drift.profile` for a table.

    Raises:
        DriftError: there is none, or it cannot be a reference.
    """
    path = Path(address)
    if frozen is not None or path.suffix.lower() == ".json":
        return read(frozen or path)
    settings = settings | {"time": settings.get("time") or _only_time(path)}
    return profile(_whole(path, {}), **settings, name=str(path))


def read_window(path: Path, frozen: Path | None) -> pl.DataFrame | Path:
    """Return a table to compare, with the names of the categories that the features of a model hold as codes."""
    return _whole(path, _codes(frozen))


def _codes(file: Path | None) -> dict[str, list[str]]:
    """Return the categories that a model's features hold as codes, by column; a code is an index of the list."""
    features = None if file is None else file.parent / "features.json"
    if features is None or not features.is_file():
        return {}
    categories: dict[str, list[str]] = read_json(features)["spec"]["categories"]
    return categories


def _whole(path: Path, codes: dict[str, list[str]]) -> pl.DataFrame | Path:
    """Return a Parquet file that is not large as a frame, in any order of rows, with the names of coded categories."""
    if path.suffix.lower() in (".csv", ".gz", ".json") or not path.is_file():
        return path
    rows, schema = parquet_schema([path])
    # A streamed table must be sorted by time; one that fits is sorted in memory.
    if rows * len(schema) > _LARGE:
        return path
    coded = [name for name in codes if name in schema and schema[name].is_numeric()]
    named = [
        pl.when(pl.col(name).is_not_null() & pl.col(name).is_not_nan()).then(
            pl.col(name)
            .cast(pl.Float64)
            .replace_strict(
                {float(code): label for code, label in enumerate(codes[name])},
                default=pl.format("code {}", pl.col(name)),  # an unseen category, rather than a missing value
            )
        )
        for name in coded
    ]
    return pl.read_parquet(path).with_columns(named)


def _reference_file(directory: Path, target: str) -> Path:
    """Return the reference profile in a model directory, of one target or of the only one there is."""
    files = sorted(directory.glob("reference.json")) or sorted(directory.glob(f"{target or '*'}/reference.json"))
    if not files:
        raise DriftError(f"{directory} holds no reference.json{f' of target {target!r}' if target else ''}")
    # Any choice among references that differ would be arbitrary.
    if len({file.read_bytes() for file in files}) > 1:
        names = ", ".join(file.parent.name for file in files)
        raise DriftError(f"{directory} holds the references of several targets; add # and one of {names}")
    return files[0]


def _only_time(path: Path) -> str | None:
    """Return the name of the table's only column of times, None where it has none.

    Raises:
        DriftError: several.
    """
    times = [n for n, dtype in Source(path).schema.items() if dtype in (pl.Date, pl.Datetime)]
    # Either choice would give other seasons, and no sign of it.
    if len(times) > 1:
        raise DriftError(f"{path} has {len(times)} columns of times: {', '.join(times)}; name one with --time")
    return times[0] if times else None


def summary(comparison: Comparison) -> str:
    """Return the comparison in a few lines for people."""
    flagged = [feature for feature in comparison.features if feature.drifted]
    lines = [f"{'drifted' if comparison.drifted else 'quiet'}: {len(flagged)} of {len(comparison.features)} columns"]
    for feature in sorted(flagged, key=lambda f: f.p_value):
        judged = feature.judgements[feature.cause]
        meaning = MEASURES[feature.cause].meaning
        lines.append(f"  {feature.name}: {meaning} {judged.value:.4g}, threshold {judged.threshold:.4g}")
    for finding in comparison.findings:
        where = f"{finding.column}: " if finding.column else ""
        lines.append(f"  {finding.severity}: {where}{finding.message}")
    return "\n".join(lines) + "\n"
