"""The outputs of a model on its training span, frozen with it as a part of its reference.json.

The reference rests on out-of-fold predictions: those of a model on its own training rows are too close to the truth, so
that residuals of any later window would seem to have drifted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.documents import read_document
from almanac.drift.outputs import importance_profile
from almanac.drift.outputs.importance_profile import ImportanceProfile
from almanac.drift.profiles.profiling import profile
from almanac.drift.profiles.reading import even_rows
from almanac.drift.profiles.reference import Profile, from_json
from almanac.drift.profiles.roles import RESIDUAL
from almanac.drift.profiles.seasons import Season

#: Version of the JSON form.
FORMAT = 1
KIND = "output reference"
#: Its key in a reference document.
SECTION = "outputs"
TARGET, PREDICTION, IMPORTANCE = "target", "prediction", "importance"
#: The outputs of a model that are judged.
SIGNALS = (TARGET, PREDICTION, RESIDUAL, IMPORTANCE)


@dataclass(frozen=True)
class OutputReference:
    """The reference of a model's outputs.

    Attributes:
        profile: profile of truth, out-of-fold prediction and residual.
        importances: importances by block; None where no feature contributes anything.
    """

    profile: Profile
    importances: ImportanceProfile | None

    def to_json(self) -> dict[str, Any]:
        """Return the reference as a JSON document; `outputs_from_json` takes it back."""
        return {
            "format": FORMAT,
            "kind": KIND,
            "profile": self.profile.to_json(),
            "importance": self.importances.to_json() if self.importances else None,
        }

    def pick(self, rows: int) -> NDArray[np.int64]:
        """Return the rows (m,) of a window to explain: as many as of the reference, or up to twice that."""
        if self.importances is None:
            return np.empty(0, np.int64)
        return even_rows(rows, 2 * self.importances.per_block * max(1, round(rows / self.profile.block_rows)))


def freeze(
    table: pl.DataFrame,
    *,
    time: str,
    entity: str | None = None,
    season: Season = "month",
    window: str = "30d",
    false_alarm_rate: float = 0.05,
    importances: ImportanceProfile | None = None,
) -> OutputReference:
    """Return the reference of a model's outputs.

    Args:
        table: entity, where there is one, time, `target` and out-of-fold `prediction`; rows without either are left
            out.
        time: time column.
        entity: column with the name of each row's series, in a panel.
        season: season of the reference that a window is compared with.
        window: length of the windows to come.
        false_alarm_rate: share of undrifted windows that may raise the alarm.
        importances: importances by block; see `importance_profile.freeze`.

    Raises:
        DriftError: a column that is absent, or fewer than 100 rows.
    """
    check(table, [TARGET, PREDICTION])
    return OutputReference(
        profile(
            finite(table, TARGET, PREDICTION),
            columns=[TARGET, PREDICTION],
            time=time,
            entity=entity,
            target=TARGET,
            prediction=PREDICTION,
            season=season,
            window=window,
            false_alarm_rate=false_alarm_rate,
        ),
        importances,
    )


def outputs_from_json(document: Any, where: str = "the reference") -> OutputReference | None:
    """Return the reference of a model's outputs in a reference document; None in one of an earlier release.

    Raises:
        DriftError: of another version, incomplete or damaged.
    """
    section = document.get(SECTION) if isinstance(document, dict) else None
    if section is None:
        return None
    if not isinstance(section, dict) or (section.get("kind"), section.get("format")) != (KIND, FORMAT):
        raise DriftError(f"{where}: {SECTION} is no {KIND} of format {FORMAT}; train the model again")
    profile_of_outputs = from_json(section.get("profile"), f"{where}: {SECTION}.profile")
    try:
        packed = section["importance"]
        return OutputReference(profile_of_outputs, importance_profile.from_json(packed) if packed is not None else None)
    except (KeyError, TypeError, ValueError) as error:
        raise DriftError(f"{where}: {SECTION} is incomplete or damaged ({type(error).__name__}: {error})") from error


def read_outputs(path: Path) -> OutputReference | None:
    """Return the reference of a model's outputs in the reference.json at `path`, None where it has none.

    Raises:
        DriftError: no such file, no JSON, or a damaged reference.
    """
    return outputs_from_json(read_document(path), str(path))


def check(table: pl.DataFrame, columns: list[str]) -> None:
    """Raise a DriftError for a column that is missing in a table of outputs."""
    if missing := [name for name in columns if name not in table.columns]:
        raise DriftError(f"the model's outputs have no column {missing[0]!r}; expected {', '.join(columns)}")


def finite(table: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Return the rows whose values in some columns are neither missing nor infinite."""
    return table.filter(*(pl.col(name).cast(pl.Float64).is_finite() for name in names))
