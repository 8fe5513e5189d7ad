"""The objects of the operations room as the real kustomize builds them."""

import re
import subprocess

import yaml

from almanac.core.image import OPERATIONS_IMAGE
from tests.contract.deploy.test_room import OBJECTS, ROOM
from tests.support.live import needs, program


@needs("kustomize")
def test_kustomize_builds_it() -> None:
    done = subprocess.run([program("kustomize"), "build", str(ROOM)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(OBJECTS) + 1
    assert OPERATIONS_IMAGE in done.stdout
    assert re.search(r"name: almanac-agent-policy-\w+", done.stdout)
