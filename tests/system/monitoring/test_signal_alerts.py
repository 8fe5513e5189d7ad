"""The example of alerts on decision signals: promtool's cases, and the names that it asks for."""

import re
import subprocess

import yaml

from almanac.usecase import load
from monitoring import metrics
from tests.support.live import ROOT, needs

ALERTS = ROOT / "examples" / "alerts"


@needs("promtool")
def test_promtool_finds_the_alerts_valid_and_runs_their_cases() -> None:
    for verb, name in (("check", "server_load.yaml"), ("test", "server_load_cases.yaml")):
        command = ["promtool", verb, "rules", str(ALERTS / name)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_they_ask_for_signals_of_the_use_case_and_a_metric_of_the_server() -> None:
    usecase = load(ROOT / "usecases" / "server_load.yaml")
    decisions = {target.name: target.decision for target in usecase.targets}
    for group in yaml.safe_load((ALERTS / "server_load.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert set(re.findall(r"\balmanac_\w+", rule["expr"])) == {metrics.SIGNALS.name}
            models = re.findall(r'model=~"([^"]+)"', rule["expr"])
            found = [decisions[name] for name in decisions for pattern in models if re.fullmatch(pattern, name)]
            assert found
            for signal in re.findall(r'signal="([^"]+)"', rule["expr"]):
                assert all(one is not None and one.by == "upper" and signal == one.names[-1] for one in found)
