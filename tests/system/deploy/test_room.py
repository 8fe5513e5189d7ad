"""The objects of the operations room as the real kustomize builds them."""

import re
import subprocess
from pathlib import Path

import yaml

from almanac.core.image import OPERATIONS_IMAGE
from tests.support.live import needs, program

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "deploy" / "room"
FILES: list[str] = yaml.safe_load((ROOM / "kustomization.yaml").read_text())["resources"]
OBJECTS = [item for name in FILES for item in yaml.safe_load_all((ROOM / name).read_text())]


@needs("kustomize")
def test_kustomize_builds_it() -> None:
    done = subprocess.run([program("kustomize"), "build", str(ROOM)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(OBJECTS) + 1
    assert f"{OPERATIONS_IMAGE}" in done.stdout
    assert re.search(r"name: almanac-agent-policy-\w+", done.stdout)
