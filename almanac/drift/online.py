"""Live drift: rows are counted as they are answered, in well under a microsecond a feature.

    drift = OnlineDrift(profile, names)          # names: the columns of a row, in order
    drift.add(row, time_us)                      # float64 (f,), NaN where missing; any thread
    drift.metrics()                              # {"temp": {"rows": 512, "ks": 0.07, "psi": …, "drifted": 0.0}, …}
    drift.state()                                # plain JSON, to send to another worker
    OnlineDrift.merged(profile, states).metrics()
    drift.reset()                                # begin another window

A row is only copied into a block that was allocated once; when the block is full its rows are counted together. Columns
that the profile does not have, and categories, are ignored. Measures that need rows in the order of time, such as gaps,
are left out, because requests do not follow each other as the rows of a series do.
"""

import base64
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from almanac.core.errors import DriftError
from almanac.drift import statistics
from almanac.drift.counting.accumulators import ABOVE, BELOW, MISSING, ROWS
from almanac.drift.counting.histogram import Floats
from almanac.drift.counting.row_counters import row_counters
from almanac.drift.measures import Pair, measure_numbers
from almanac.drift.profiles.reference import Feature, Profile
from almanac.drift.profiles.seasons import mixture
from almanac.drift.thresholds import judge_all, step_up, strength

#: Version of the exported state.
FORMAT = 1


class OnlineDrift:
    """Counters of one window, for the columns of a row.

    Args:
        profile: the reference that was frozen with the model.
        names: the columns of a row, in order; those of the profile when None.
        buffer: rows that are counted together.

    Raises:
        DriftError: none of the names is a number that the profile has.
    """

    def __init__(self, profile: Profile, names: Sequence[str] | None = None, buffer: int = 256) -> None:
        order = list(names) if names is not None else [n for n, f in profile.features.items() if f.layout is not None]
        self._profile = profile
        self.columns = len(order)
        self._positions = [
            i for i, name in enumerate(order) if name in profile.features and profile.features[name].layout
        ]
        if not self._positions:
            raise DriftError("no column of the rows is a number that the profile has; nothing can be watched")
        self.names = tuple(order[position] for position in self._positions)
        self._features = [profile.features[name] for name in self.names]
        self._lock = threading.Lock()
        # Allocated once: a request costs the copy of its row and no more.
        self._rows = np.empty((buffer, self.columns))
        self._times = np.zeros(buffer, np.int64)
        layouts = [feature.layout for feature in self._features if feature.layout is not None]
        self._kernel = row_counters(layouts, self._positions, self.columns)
        self.reset()

    def reset(self) -> None:
        """Begin another window."""
        with self._lock:
            self._filled = 0
            self._times.fill(0)
            self._kernel.reset()
            self._seasons = np.zeros(self._profile.calendar.seasons)

    def add(self, row: Floats, time_us: int = 0) -> None:
        """Count one row (f,) of the given time in microseconds since 1970; a time of 0 is unknown."""
        with self._lock:
            row_number = self._filled
            self._rows[row_number] = row
            if time_us:
                self._times[row_number] = time_us
            self._filled = row_number + 1
            # One request in `buffer` pays for the counting of all of them.
            if self._filled == len(self._rows):
                self._flush()

    def add_rows(self, rows: Floats, time_us: int = 0) -> None:
        """Count several rows (n, f) of about the same time."""
        with self._lock:
            for start in range(0, len(rows), len(self._rows)):
                part = rows[start : start + len(self._rows)]
                if self._filled + len(part) > len(self._rows):
                    self._flush()
                end = self._filled + len(part)
                self._rows[self._filled : end] = part
                self._times[self._filled : end] = time_us
                self._filled = end
                if end == len(self._rows):
                    self._flush()

    def _flush(self) -> None:
        if not self._filled:
            return
        self._kernel.count(self._rows[: self._filled])
        times = self._times[: self._filled]
        timed = times[times != 0]
        # A row without a time says nothing of the season, and is left out of the mixture.
        if len(self._seasons) > 1 and len(timed):
            months = timed.astype("M8[us]").astype("M8[M]").astype(np.int64) % 12
            self._seasons += np.bincount(months * len(self._seasons) // 12, minlength=len(self._seasons))
        times.fill(0)
        self._filled = 0

    @property
    def rows(self) -> int:
        """Rows counted in this window."""
        return self._kernel.rows + self._filled

    def state(self) -> dict[str, Any]:
        """Return the counters as plain JSON, which `merged` takes."""
        with self._lock:
            self._flush()
            kernel = self._kernel
            return {
                "format": FORMAT,
                "names": list(self.names),
                "rows": kernel.rows,
                "seasons": self._seasons.tolist(),
                "longest": kernel.longest.tolist(),
                "beyond": kernel.beyond.tolist(),
                "off": kernel.off.tolist(),
                "counts": base64.b64encode(zlib.compress(kernel.counts.astype("<i8").tobytes(), 1)).decode(),
            }

    @classmethod
    def merged(cls, profile: Profile, states: Sequence[dict[str, Any]]) -> "OnlineDrift":
        """Return the counters of several workers together.

        Raises:
            DriftError: no state, or states of other columns, of another profile or version.
        """
        if not states:
            raise DriftError("there is no state to merge")
        names = states[0]["names"]
        # States are added up here and no rows are, so the smallest buffer does.
        whole = cls(profile, names, buffer=1)
        kernel = whole._kernel
        for state in states:
            if state["format"] != FORMAT or state["names"] != names:
                raise DriftError("the states are of other columns or of another version; all workers must agree")
            counts = np.frombuffer(zlib.decompress(base64.b64decode(state["counts"])), "<i8")
            if counts.shape != kernel.counts.shape:
                raise DriftError("a state was counted against another profile; all workers must serve the same model")
            kernel.rows += int(state["rows"])
            kernel.counts += counts
            # Not joined: the rows of one worker do not go on from those of another.
            np.maximum(kernel.longest, np.asarray(state["longest"], np.int64), out=kernel.longest)
            kernel.beyond += np.asarray(state["beyond"], np.int64)
            kernel.off += np.asarray(state["off"], np.int64)
            whole._seasons += np.asarray(state["seasons"])
        return whole

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return the metrics of each column; an empty dict before the first row.

        `rows`, `missing_rate`, `out_of_range_rate`, `longest_run` and `ks_overall` describe the whole window; `ks`,
        `psi` and the others compare it with its season; `score` is the largest of them over its threshold, and
        `drifted` is 1 where the column is a discovery at the profile's false-alarm rate.
        """
        with self._lock:
            self._flush()
            if not self._kernel.rows:
                return {}
            judged = [self._judge(column, feature) for column, feature in enumerate(self._features)]
        flags = step_up([p_value for p_value, _ in judged], self._profile.false_alarm_rate)
        return {
            name: {**metrics, "drifted": float(flag)}
            for name, (_, metrics), flag in zip(self.names, judged, flags, strict=True)
        }

    def _judge(self, column: int, feature: Feature) -> tuple[float, dict[str, float]]:
        layout = feature.layout
        assert layout is not None
        fine, tally = self._kernel.tally(column)
        run = int(self._kernel.longest[column])
        like, relative = mixture(feature.seasons, self._seasons), run / max(1.0, tally[ROWS] / self._profile.block_rows)
        values = measure_numbers(Pair(like, tally, relative, layout, feature.spread), sequential=False)
        shortage = max(1.0, self._profile.block_rows / tally[ROWS])
        judged, p_values = judge_all(
            values, feature.nulls, shortage, self._profile.false_alarm_rate / len(self._features)
        )
        metrics = {
            "rows": float(tally[ROWS]),
            "missing_rate": float(tally[MISSING] / tally[ROWS]),
            "out_of_range_rate": float((tally[BELOW] + tally[ABOVE]) / tally[ROWS]),
            "longest_run": float(run),
            "score": strength(judged),
            **values,
        }
        if fine.sum() and feature.fine.sum():
            metrics["ks_overall"] = statistics.ks(feature.fine, fine)
        return min(1.0, min(p_values.values())), metrics
