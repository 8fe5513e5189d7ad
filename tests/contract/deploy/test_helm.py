"""The committed Helm chart is made from the manifests."""

import pytest
import yaml

from serving.deploy.helm import CHART, ENVIRONMENTS, files


def test_the_committed_chart_is_what_the_manifests_give() -> None:
    written = {path.relative_to(CHART).as_posix(): path.read_text() for path in CHART.rglob("*") if path.is_file()}
    assert written == files(), "run `almanac deploy chart`"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_policies_of_both_let_the_ingress_in(environment: str) -> None:
    source = yaml.safe_load(files()[f"values-{environment}.yaml"]).get("networkPolicy", {"from": []})["from"]
    names = [one["namespaceSelector"]["matchLabels"].get("kubernetes.io/metadata.name") for one in source]
    assert not source or "ingress-nginx" in names
