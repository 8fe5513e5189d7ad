"""Fields of the use case set from the command line."""

from pathlib import Path

import pytest

from almanac.core.errors import UseCaseError
from almanac.training.candidates.lightgbm import LightGBM
from almanac.usecase.override import load_with

REFERENCE = Path("usecases/air_quality.yaml")


def test_a_field_is_set_by_its_path() -> None:
    usecase = load_with(REFERENCE, ["training.budget.trials=2", "training.candidates.lightgbm_level.fixed.max_depth=9"])
    assert usecase.training.budget.trials == 2
    candidate = next(item for item in usecase.training.candidates if isinstance(item, LightGBM))
    assert candidate.fixed["max_depth"] == 9


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.budget.trials", "write KEY=VALUE"),
        ("training.budget.trails=2", "training.budget.trails: unknown field; did you mean 'trials'"),
        ("training.candidates.nonsense.trials=2", "no item 'nonsense'"),
        ("training.budget.trials=many", "training.budget.trials: input should be a valid integer; got 'many'"),
        ("name.first=2", "name has no fields"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, message: str) -> None:
    with pytest.raises(UseCaseError, match="(?s).*" + message.replace(".", r"\.")):
        load_with(REFERENCE, [setting])
