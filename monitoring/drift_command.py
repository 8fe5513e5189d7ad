"""The command `drift`: a window against a reference, from files."""

import argparse
import sys
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import DriftError
from almanac.core.files import pretty_json, read_json, write_json
from almanac.drift.comparison import Comparison, compare
from almanac.drift.measures import MEASURES
from almanac.drift.profiles.profiling import profile
from almanac.drift.profiles.reading import parquet_schema
from almanac.drift.profiles.reference import Profile, read

#: Exit code where the window has drifted.
DRIFTED = 3
#: Values of a table beyond which it is streamed, and must be sorted by time.
_LARGE = 1 << 25


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to a command line."""
    parser = commands.add_parser(
        "drift",
        help="compare a window with a reference",
        description="Compare CURRENT with REFERENCE. Exit 0: quiet; 3: drifted; 1: error.",
    )
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="a Parquet or CSV file, a profile (JSON), a model directory, or registry:<use case>/<stage or version>",
    )
    parser.add_argument("current", metavar="CURRENT", help="a Parquet or CSV file, or a directory of Parquet files")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write drift.json and drift.html there")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    settings = parser.add_argument_group("for a REFERENCE that is a table")
    settings.add_argument("--time", metavar="COLUMN", help="time column; found by itself where there is only one")
    settings.add_argument("--entity", metavar="COLUMN", help="column that tells the series of a panel apart")
    settings.add_argument("--target", metavar="COLUMN", help="the truth")
    settings.add_argument("--prediction", metavar="COLUMN", help="the prediction")
    settings.add_argument("--season", choices=("none", "month", "quarter"), default="month")
    settings.add_argument("--window", default="30d", metavar="LENGTH", help="length of the windows to come (30d)")
    settings.add_argument("--false-alarm-rate", type=float, default=0.05, metavar="SHARE")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    frozen = _model_reference(arguments.reference)
    reference = load_reference(arguments.reference, arguments) if frozen is None else read(frozen)
    comparison = compare(reference, _whole(Path(arguments.current), _codes(frozen)))
    if arguments.out is not None:
        from almanac.drift.report import drift_page
        from almanac.reports import write_page

        write_json(arguments.out / "drift.json", comparison.to_json())
        write_page(drift_page(comparison), arguments.out / "drift.html")
    sys.stdout.write(pretty_json(comparison.to_json()) if arguments.json else summary(comparison))
    return DRIFTED if comparison.drifted else 0


def load_reference(address: str, settings: argparse.Namespace | None = None) -> Profile:
    """Return the profile that an address means; a table is profiled with the given settings.

    Raises:
        DriftError: nothing is there, or nothing that can be a reference.
    """
    if (file := _model_reference(address)) is not None:
        return read(file)
    path = Path(address)
    if path.suffix.lower() == ".json":
        return read(path)
    options: dict[str, Any] = {}
    if settings is not None:
        names = ("time", "entity", "target", "prediction", "season", "window", "false_alarm_rate")
        options = {name: getattr(settings, name) for name in names}
    if not options.get("time"):
        options["time"] = _only_time(path)
    return profile(_whole(path, {}), **options)


def _model_reference(address: str) -> Path | None:
    """Return the reference frozen with a model, where the address is that of one."""
    if address.startswith("registry:"):
        from governance.registry import resolve

        address, _, target = address.partition("#")
        return _reference_file(resolve(address), target)
    path = Path(address)
    return _reference_file(path, "") if path.is_dir() and not any(path.glob("**/*.parquet")) else None


def _codes(file: Path | None) -> dict[str, list[str]]:
    """Return the categories that a model's features hold as codes, by column; a code is a place in the list."""
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
    if rows * len(schema) > _LARGE:
        return path
    coded = [name for name in codes if name in schema and schema[name].is_numeric()]
    named = [
        pl.when(pl.col(name).is_not_null() & pl.col(name).is_not_nan()).then(
            pl.col(name)
            .cast(pl.Float64)
            .replace_strict(
                {float(code): label for code, label in enumerate(codes[name])},
                default=pl.format("code {}", pl.col(name)),  # unseen, and so found, rather than missing
            )
        )
        for name in coded
    ]
    return pl.read_parquet(path).with_columns(named)


def _reference_file(directory: Path, target: str) -> Path:
    """Return the reference profile in a model directory, of one target or of the only one there is."""
    found = sorted(directory.glob("reference.json")) or sorted(directory.glob(f"{target or '*'}/reference.json"))
    if not found:
        raise DriftError(f"{directory} holds no reference.json{f' of target {target!r}' if target else ''}")
    if len({file.read_bytes() for file in found}) > 1:
        names = ", ".join(file.parent.name for file in found)
        raise DriftError(f"{directory} holds the references of several targets; add # and one of {names}")
    return found[0]


def _only_time(path: Path) -> str | None:
    """Return the name of the table's only column of times, or None."""
    from almanac.drift.profiles.tables import Source

    times = [name for name, dtype in Source(path).schema.items() if dtype.is_temporal()]
    return times[0] if len(times) == 1 else None


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
