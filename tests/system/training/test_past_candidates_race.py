"""ARIMA, the Theta method and the additive regression in a whole training."""

from pathlib import Path

from almanac.core.files import read_json
from almanac.features.baselines import SEASONAL
from almanac.training.train import train
from tests.support import panel

#: A target and a candidate of each kind.
RACE = {
    "load_1h": {"name": "arima", "kind": "arima", "fixed": {"max_p": 1, "max_q": 0, "max_P": 0, "max_Q": 1, "D": 1}},
    "load_6h": {"name": "theta", "kind": "theta", "fixed": {"decomposition_type": "additive"}},
    "load_3h": {"name": "regression", "kind": "additive_regression", "fixed": {"changepoints": 5, "harmonics": 4}},
}


def test_they_race_and_are_saved_as_data(tmp_path: Path) -> None:
    """Each beats the seasonal naive forecast of a table that suits it, and says how far its fit has come."""
    common = {"season": "24h", "learn_from": 240}
    case = panel.usecase(
        targets=[{"name": target, "column": "load", "horizon": target.removeprefix("load_")} for target in RACE],
        split={"test_from": "2020-02-01"},
        training={
            "folds": {"count": 2, "length": "4d"},
            "candidates": [{**one, **common, "targets": [target]} for target, one in RACE.items()],
            "intervals": {"level": 0.9, "bins": 2},
        },
    )
    files = panel.inputs(case, panel.table().filter(panel.before("2020-02-10")), tmp_path / "in")
    said: list[str] = []
    digests = []
    for run in ("one", "two"):
        result = train(
            case,
            files,
            tmp_path / run / "model",
            tmp_path / run / "tuning.json",
            progress=lambda done, total, text: said.append(text),
        )
        digests.append(result["model_digest"])
    assert digests[0] == digests[1]
    for target, candidate in RACE.items():
        found = result["targets"][target]
        assert read_json(tmp_path / "one" / "model" / target / "manifest.json")["kind"] == candidate["kind"]
        assert found["loss"] < found["baselines"][SEASONAL]["loss"], target
        assert f"{target} {candidate['name']}: 3 of 3 entities" in said
