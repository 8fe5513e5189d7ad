"""The change of limits in an exporter's file: exact, restored, and refused with the file's name."""

from pathlib import Path

import pytest

from almanac.core.errors import AgentError
from monitoring.metrics import ROLLING_RMSE_LIMIT, WINDOW_RMSE_LIMIT
from operations.agent.actions import ACTIONS
from operations.agent.policy import Policy
from operations.agent.site import Site

TEXT = (
    f"# TYPE {ROLLING_RMSE_LIMIT.name} gauge\n"
    f'{ROLLING_RMSE_LIMIT.name}{{target="load_1h"}} 20.0\n'
    f'{WINDOW_RMSE_LIMIT.name}{{target="load_1h"}} 24.5\n'
    'almanac_model_version{use_case="demo"} 3.0\n'
)
ACTION = ACTIONS["change_thresholds"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    settings = {"figures": str(tmp_path)}
    policy = Policy.model_validate({"use_cases": {"demo": settings}, "causes": {}, "threshold_factor": 1.5})
    return Site("demo", policy, policy.use_cases["demo"], str(tmp_path / "registry"), tmp_path / "runs")


def test_limits_are_raised_once_and_written_back(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "demo-model.prom"
    assert ACTION.plan(site, "seasonal") is None
    path.write_text(TEXT)
    parameters = ACTION.plan(site, "seasonal")
    assert parameters is not None
    before = ACTION.observe(site, parameters)
    assert not ACTION.done(site, parameters, before, "key")
    for _ in range(2):
        ACTION.do(site, parameters, before, "key")
        assert ACTION.done(site, parameters, before, "key")
    assert path.read_text() == TEXT.replace(" 20.0", " 30.0").replace(" 24.5", " 36.75")
    ACTION.undo(site, parameters, before, "key")
    assert path.read_text() == TEXT


def test_a_file_that_is_gone_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "demo-model.prom").write_text(TEXT)
    parameters = ACTION.plan(site, "seasonal")
    assert parameters is not None
    (tmp_path / "demo-model.prom").unlink()
    with pytest.raises(AgentError, match=r"demo-model\.prom: cannot be written \(.*No such file"):
        ACTION.do(site, parameters, {}, "key")
