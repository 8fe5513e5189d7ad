"""LightGBM: gradient-boosted trees of the level, or of the difference from the last known value."""

import ctypes
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from almanac.core.arrays import Array
from almanac.core.errors import ServingError
from almanac.training.fitted_model import AdditiveModel, score
from almanac.training.level_learner import LevelLearner, base
from almanac.training.problem import Problem, Rows, TrainingRows

if TYPE_CHECKING:
    import lightgbm

SETTINGS: dict[str, Any] = {
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
    # LightGBM would otherwise time rows against columns and take the faster, which sums in another order.
    "force_row_wise": True,
    "feature_pre_filter": False,
}
#: Parameters that follow from the target, the seed or the backend, or whose models cannot be saved.
_NOT_DECLARED = frozenset(
    {"objective", "metric", "num_class", "task", "config", "data", "valid", "input_model"}
    | {"seed", "data_random_seed", "feature_fraction_seed", "bagging_seed", "drop_seed", "extra_seed", "objective_seed"}
    | {"verbosity", "num_threads", "deterministic", "force_row_wise", "force_col_wise", "feature_pre_filter"}
    | {"device_type", "tree_learner", "num_machines", "machines", "linear_tree", "categorical_feature"}
)
_ROUNDS = "num_iterations"


class LightGBM(LevelLearner):
    """A LightGBM model of the level, or of the difference from the last known value."""

    kind: Literal["lightgbm"]
    seeds: Annotated[int, Field(ge=1)] = 1
    """How many models with other seeds are averaged into the one that is kept."""


class _LightGBM:
    name = "lightgbm"
    declaration = LightGBM
    cost = 3
    blendable = True

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the library's own list, but for the parameters that training sets."""
        return {name: aliases for name, aliases in _aliases().items() if name not in _NOT_DECLARED}

    def fit(self, declared: LightGBM, parameters: dict[str, Any], data: TrainingRows, seed: int) -> AdditiveModel:
        """Return boosters of one objective and several seeds, averaged."""
        import lightgbm

        linear = base(declared, data)
        settings = dict(parameters)
        # `lightgbm.train` takes the rounds as an argument, and warns of any other name for them.
        rounds = next((int(settings.pop(n)) for n in (_ROUNDS, *_aliases()[_ROUNDS]) if n in settings), 400)
        # The price of a lot among those of single cards would pull a mean.
        robust = data.problem.target.scale == "log"
        objective = "binary" if data.problem.classification else "regression_l1" if robust else "regression"
        label = data.y - score(linear, data.problem.X, data.rows)
        seeds = [seed + number for number in range(declared.seeds)]
        try:
            boosters = grow(
                data.problem, data.rows, label, {"objective": objective, **settings, **SETTINGS}, rounds, seeds
            )
        # The protocol of a candidate: the caller adds its name and the target to a ValueError.
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(str(error)) from error
        return AdditiveModel(linear, [(1.0 / len(boosters), booster) for booster in boosters])


def grow(
    problem: Problem, rows: Rows, label: Array, parameters: dict[str, Any], rounds: int, seeds: list[int]
) -> list["lightgbm.Booster"]:
    """Return one booster for each seed, grown on the backend or in this process; arguments as of `TreeGrower`."""
    if problem.grower is not None:
        return problem.grower(rows, label, parameters, rounds, seeds)
    import lightgbm

    def make() -> lightgbm.Dataset:
        names = problem.names
        return lightgbm.Dataset(problem.X[rows], label, feature_name=names, params=dict(SETTINGS), free_raw_data=True)

    # The seeds, trials and candidates that learn from the same rows share LightGBM's binned copy of them.
    with problem.binned.lend(rows, len(problem.names), label, parameters, make) as data:
        return [lightgbm.train({**parameters, "seed": seed}, data, rounds) for seed in seeds]


@cache
def _aliases() -> dict[str, list[str]]:
    """Return LightGBM's parameters with their aliases, from its C library: the Python package takes a second."""
    from almanac.model.engine.booster import library

    try:
        dump = library().LGBM_DumpParamAliases
    # A use case can be read where LightGBM is not installed.
    except ServingError:
        return {}
    buffer, length = ctypes.create_string_buffer(1 << 16), ctypes.c_int64()
    dump(ctypes.c_int64(len(buffer)), ctypes.byref(length), buffer)
    aliases: dict[str, list[str]] = json.loads(buffer.value)
    return aliases


KIND = _LightGBM()
