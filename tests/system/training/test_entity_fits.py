"""Fits of each entity: the same in one process and in several, and what is said of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from almanac.core.errors import TrainingError
from almanac.training.candidates import additive_regression
from almanac.training.entity_fits import EntityFits, entity_fits

Array = npt.NDArray[np.float64]
ARGUMENTS = {"period": 12, "history": 36, "steps": 3, "parameters": {"harmonics": 3}}


def series(count: int) -> dict[str, Array]:
    generator = np.random.default_rng(5)
    values = 9 + np.sin(np.arange(120) / 2) + generator.normal(0, 0.1, (count, 120))
    values[:, 17] = np.nan
    return {f"machine {k}": values[k] for k in range(count)}


def mistaken(values: Array, **_: Any) -> dict[str, Any]:
    """Fail as a library does."""
    raise RuntimeError(f"no model of {values.size} values")


def ended(values: Array, **_: Any) -> dict[str, Any]:
    """End the process."""
    raise SystemExit(3)


def test_processes_change_no_bit_and_tell_how_far_they_are() -> None:
    said: list[str] = []
    alone = EntityFits(1).fit(additive_regression.estimate, series(14), ARGUMENTS, said.append)
    assert said == [
        "3 of 14 entities",
        "6 of 14 entities",
        "9 of 14 entities",
        "12 of 14 entities",
        "14 of 14 entities",
    ]
    with entity_fits(2) as fits:
        together = fits.fit(additive_regression.estimate, series(14), ARGUMENTS, said.append)
        assert together == alone
        assert list(together) == list(alone)
        assert said[5:] == said[:5]
        with pytest.raises(ValueError, match=r"machine 0: no model of 120 values"):
            fits.fit(mistaken, series(14), {}, said.append)
        with pytest.raises(TrainingError, match="a process that fits entities ended with code 3"):
            fits.fit(ended, series(14), {}, said.append)


def test_a_few_entities_start_no_process() -> None:
    with entity_fits(2) as fits:
        fits.fit(additive_regression.estimate, series(3), ARGUMENTS, lambda text: None)
        assert not fits._started
        with pytest.raises(ValueError, match=r"machine 0: no model of 120 values"):
            fits.fit(mistaken, series(3), {}, lambda text: None)
