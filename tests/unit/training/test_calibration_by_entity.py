"""Intervals of single entities: who gets them, what they cover, and how they are kept and read."""

import json

import numpy as np
import pytest

from almanac.core.errors import ModelError
from almanac.model.intervals import Intervals
from almanac.model.row_interval import RowInterval
from almanac.training.calibration import calibrate

ROWS = 2_000
SIZES = {"calm": 1.0, "usual": 5.0, "wild": 20.0}


def panel(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return truth, last value and entity of rows whose errors have the size of their entity."""
    random = np.random.default_rng(seed)
    names = [name for name in SIZES for _ in range(rows)]
    last = random.uniform(0.0, 100.0, len(names))
    return last + np.repeat(list(SIZES.values()), rows) * random.normal(size=len(names)), last, names


@pytest.fixture(scope="module")
def fitted() -> Intervals:
    y, last, names = panel(0)
    # A handful of rows of one more entity, which are too few.
    few = np.full(20, 50.0)
    return calibrate(
        np.r_[y, few], np.r_[last, few], np.r_[last, few], level=0.9, bins=3, by="load", edges=[50.0],
        fold=np.r_[np.arange(y.size) % ROWS * 4 // ROWS, np.zeros(20, int)], entity=[*names, *["new"] * 20],
    )  # fmt: skip


def test_each_entity_is_covered_by_an_interval_of_its_own(fitted: Intervals) -> None:
    y, last, names = panel(1)
    shared, own = (fitted.apply(last, last, entity) for entity in (None, names))
    covered = {
        kind: [float(np.mean(((y >= low) & (y <= high))[np.array(names) == name])) for name in SIZES]
        for kind, (low, high) in (("shared", shared), ("own", own))
    }
    assert covered["shared"][0] > 0.99
    assert covered["shared"][2] < 0.75
    assert covered["own"] == pytest.approx([0.9] * 3, abs=0.05)
    assert np.mean(own[1] - own[0]) < 0.8 * np.mean(shared[1] - shared[0])


def test_entities_that_are_new_or_have_few_rows_get_the_offsets_of_all_rows(fitted: Intervals) -> None:
    assert fitted.entities is not None
    assert set(fitted.entities.factors) == set(SIZES)
    last = np.array([10.0, 60.0, np.nan])
    shared = fitted.apply(last, np.full(3, 40.0))
    for name in ("new", "never heard of"):
        assert np.array_equal(fitted.apply(last, np.full(3, 40.0), [name] * 3), shared)
    assert not np.array_equal(fitted.apply(last, np.full(3, 40.0), ["calm"] * 3), shared)


def test_the_offsets_of_all_rows_are_those_without_entities(fitted: Intervals) -> None:
    y, last, names = panel(0)
    plain, with_entities = (
        calibrate(y, last, last, level=0.9, bins=3, by="load", entity=entity) for entity in (None, names)
    )
    assert plain.entities is None
    assert plain.to_json() == {key: v for key, v in with_entities.to_json().items() if key != "entities"}


def test_a_row_has_the_bits_of_the_batch(fitted: Intervals) -> None:
    one = RowInterval(fitted, ["load"])
    for last in (3.0, 50.0, 97.0, np.nan):
        for entity in (*SIZES, "new", None):
            both = fitted.apply(np.array([last]), np.array([41.0]), None if entity is None else [entity])
            assert one([last], 41.0, entity) == (both[0][0], both[1][0])


def test_the_document_keeps_them_and_is_checked(fitted: Intervals) -> None:
    document = json.loads(json.dumps(fitted.to_json()))
    _, last, names = panel(2, 50)
    assert np.array_equal(Intervals.from_json(document).apply(last, last, names), fitted.apply(last, last, names))
    with pytest.raises(ModelError, match="one longer than edges"):
        Intervals.from_json({**document, "entities": {**document["entities"], "lower": [1.0]}})
    with pytest.raises(ModelError, match="positive and finite"):
        Intervals.from_json({**document, "entities": {**document["entities"], "factors": {"calm": 0.0}}})
    with pytest.raises(ModelError, match="factors"):
        Intervals.from_json({**document, "entities": {"lower": [1.0]}})
