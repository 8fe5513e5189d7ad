"""Sequential comparison of two versions, valid however often it is looked at.

An ordinary confidence interval holds at one sample size, chosen beforehand. Looked at again and again until it excludes
zero it is wrong far more often than it says. A confidence sequence holds at all sample sizes at once: the chance that
it is ever wrong is at most alpha, however often somebody looks and whatever makes them stop.

Source: I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences", Annals of Statistics 52(6), 2024, theorem 2.2 and the choice of rho after it. Its
boundary is the normal mixture of H. Robbins, "Statistical methods related to the law of the iterated logarithm",
Annals of Mathematical Statistics 41, 1970: a mixture sequential probability ratio test.
"""

import math
from dataclasses import dataclass

#: Differences at which the boundary is narrowest; it holds before and after.
_TUNED = 500
#: Differences before which the central limit theorem is not relied on.
LEAST = 50


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a mean, after so many differences."""

    low: float
    high: float
    mean: float
    count: int


class MeanSequence:
    """The confidence sequence of a mean.

    Args:
        alpha: chance that the mean is ever outside.
        deviation: standard deviation of a normal distribution with heavier tails than the values', for a sequence that
            is exact from the first value on; None to estimate it, for one that is asymptotic and starts after `LEAST`.
    """

    def __init__(self, alpha: float, deviation: float | None = None) -> None:
        self._alpha = alpha
        self._deviation = deviation
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        log = -2 * math.log(alpha)
        self._rho2 = (log + math.log(log + 1)) / _TUNED

    def add(self, value: float) -> None:
        """Take the next value."""
        # Welford's update: sums of squares of large values would cancel.
        self._count += 1
        step = value - self._mean
        self._mean += step / self._count
        self._squares += step * (value - self._mean)

    @property
    def sums(self) -> tuple[int, float, float]:
        """Count, mean and sum of squared deviations, for `merge`."""
        return self._count, self._mean, self._squares

    def merge(self, count: int, mean: float, squares: float) -> None:
        """Take the values of another sequence, given by its `sums`.

        Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", COMPSTAT 1982.
        """
        total = self._count + count
        if not count:
            return
        step = mean - self._mean
        self._squares += squares + step * step * self._count * count / total
        self._mean += step * count / total
        self._count = total

    @property
    def interval(self) -> Interval:
        """The bounds now; infinite ones before there are enough values."""
        n = self._count
        if n == 0 or (self._deviation is None and n < LEAST):
            return Interval(-math.inf, math.inf, self._mean, n)
        deviation = self._deviation if self._deviation is not None else math.sqrt(self._squares / n)
        scaled = n * self._rho2 + 1
        log = math.log(math.sqrt(scaled) / self._alpha)
        radius = deviation * math.sqrt(2 * scaled / (n * n * self._rho2) * log)
        return Interval(self._mean - radius, self._mean + radius, self._mean, n)


class Comparison:
    """Compares the values of two versions that answer requests drawn at random.

    Values are compared block by block: a block ends when both versions have a value in it, and its difference is that
    of their means. Both versions so have the same period in every difference, and neither a change of the data in time
    nor one of the shares between the versions looks like a difference between them.

    Args:
        alpha: chance of ever being wrong.
        factor: the second version's values may be so many times the first one's.
        margin: and so much more.
        deviation: as `MeanSequence`.
    """

    def __init__(self, alpha: float, factor: float = 1.0, margin: float = 0.0, deviation: float | None = None) -> None:
        self._factor, self._margin = factor, margin
        self._alpha, self._deviation = alpha, deviation
        self._excess = MeanSequence(alpha, deviation)
        self._counts = [0, 0]
        self._sums = [0.0, 0.0]
        self._totals = [0, 0]
        self._means = [0.0, 0.0]

    def add(self, second: bool, value: float) -> None:
        """Take a value of the second version, or of the first."""
        at = int(second)
        self._counts[at] += 1
        self._sums[at] += value
        self._totals[at] += 1
        self._means[at] += (value - self._means[at]) / self._totals[at]
        # When a block ends depends on who answered and never on a value, so its difference is unbiased.
        if self._counts[0] and self._counts[1]:
            first, new = (total / count for total, count in zip(self._sums, self._counts, strict=True))
            self._excess.add(new - self._factor * first - self._margin)
            self._counts, self._sums = [0, 0], [0.0, 0.0]

    def evidence(self) -> dict[str, list[float]]:
        """Return the comparison so far as plain JSON, without the values of a block that has not ended."""
        return {"excess": list(self._excess.sums), "counts": list(self._totals), "means": list(self._means)}

    def with_others(self, others: "list[dict[str, list[float]]]") -> "Comparison":
        """Return the comparison of all: its own evidence and that of others, as `evidence` gives it.

        Differences of blocks are of one distribution whoever measured them, and in whatever order they are taken.
        """
        whole = Comparison(self._alpha, self._factor, self._margin, self._deviation)
        for part in [self.evidence(), *others]:
            count, mean, squares = part["excess"]
            whole._excess.merge(int(count), mean, squares)
            for at in (0, 1):
                taken = int(part["counts"][at])
                whole._totals[at] += taken
                if taken:
                    whole._means[at] += (part["means"][at] - whole._means[at]) * taken / whole._totals[at]
        return whole

    @property
    def excess(self) -> Interval:
        """Bounds of the second version's mean less its limit: above 0 it fails, below 0 it passes."""
        return self._excess.interval

    @property
    def means(self) -> tuple[float, float]:
        """Mean of all values of each version."""
        return self._means[0], self._means[1]

    @property
    def counts(self) -> tuple[int, int]:
        """Number of values of each version."""
        return self._totals[0], self._totals[1]
