"""Writers killed at random moments, promotions at once: `python -m tests.support.governance_faults`, in small."""

import json
import subprocess
import sys


def test_killed_writers_and_a_crowd_leave_the_registry_whole() -> None:
    command = [sys.executable, "-m", "tests.support.governance_faults", "--kills", "60", "--processes", "32"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["kills"] == 60
    assert outcome["promoters_failed"] == 0
    assert outcome["acknowledged"] > 32, "the writers must have got something done before they were killed"
    assert (outcome["lost"], outcome["doubled"], outcome["broken"]) == (0, 0, "")
    assert outcome["stages_verified"]
