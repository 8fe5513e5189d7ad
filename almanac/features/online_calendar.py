"""Calendar and cyclic features of the online engine."""

import numpy as np
import numpy.typing as npt

from almanac.features import calendar
from almanac.features import nodes as p
from almanac.features.spec import FeatureSpec

Array = npt.NDArray[np.float64]


class Moments:
    """Computes what follows from the prediction time alone.

    Args:
        spec: the specification.

    Attributes:
        features: their positions, in the order in which they are written.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        clocks = [(k, n) for k, n in enumerate(spec.nodes) if isinstance(n, p.Clock)]
        phases = [(k, n) for k, n in enumerate(spec.nodes) if isinstance(n, p.Phase)]
        aheads = sorted({n.ahead for _, n in clocks})
        self.features: list[int] = []
        self._clocks: list[tuple[int, list[int]]] = []
        for ahead in aheads:
            mine = [(k, n) for k, n in clocks if n.ahead == ahead]
            self.features += [k for k, _ in mine]
            self._clocks.append((ahead, [calendar.FIELDS.index(n.field) for _, n in mine]))
        keys = list(dict.fromkeys((n.period, n.harmonic, n.ahead) for _, n in phases))
        self._phases = [self._phase(*key) for key in keys]
        start = len(self.features)
        self.features += [k for k, _ in phases]
        pairs = [2 * keys.index((n.period, n.harmonic, n.ahead)) + n.cosine for _, n in phases]
        self._picked = [(start + place, pair) for place, pair in enumerate(pairs)]

    @staticmethod
    def _phase(period: str, harmonic: int, ahead: int) -> tuple[int, int, int, tuple[list[float], ...]]:
        length = calendar.PERIODS[period]
        tables = tuple(table.tolist() for table in calendar.phase_tables(length))
        return ahead - calendar.STARTS[period], harmonic, length, tables

    def write(self, time_us: int, out: Array) -> None:
        """Write the features to `out`."""
        if not self.features:
            return
        seconds = int(time_us) // p.SECOND
        values: list[float] = []
        for ahead, fields in self._clocks:
            day, second = divmod(seconds + ahead, calendar.DAY)
            parts = calendar.day_parts(day)
            values += [parts[field] if field else float(second // 3600) for field in fields]
        pairs: list[float] = []
        for offset, harmonic, length, (coarse_sin, coarse_cos, fine_sin, fine_cos) in self._phases:
            place = (seconds + offset) * harmonic % length
            coarse, fine = place >> calendar.FINE_BITS, place & (calendar.FINE - 1)
            a, b, c, d = coarse_sin[coarse], coarse_cos[coarse], fine_sin[fine], fine_cos[fine]
            pairs.append(a * d + b * c)
            pairs.append(b * d - a * c)
        values += [pairs[pair] for _, pair in self._picked]
        out[:] = values
