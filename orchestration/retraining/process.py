"""Starting a pipeline from within a task: kfp leaves out of a task's process what makes pipelines."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from almanac.core.errors import AlmanacError, RemediationError
from almanac.usecase import UseCase, dump, load_text
from orchestration.code_digest import ROOT

if TYPE_CHECKING:
    from components.remediation.task import Settings

#: What kfp tells a task's process by.
TASK = "_KFP_RUNTIME"


def begin(usecase: UseCase, settings: "Settings") -> dict[str, Any]:
    """Start the training pipeline in a process of its own, and return what came of it.

    Raises:
        RemediationError: the process failed; the message is its own.
    """
    given = json.dumps({"usecase": dump(usecase), "settings": asdict(settings)})
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {key: value for key, value in os.environ.items() if key != TASK} | {"PYTHONPATH": paths}
    command = [sys.executable, "-m", "orchestration.retraining.process"]
    done = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RemediationError(done.stderr.strip().removeprefix("error: ") or "the training pipeline was not started")
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def main() -> int:
    """Start what standard input says, and print what came of it as the last line; return the exit code."""
    from components.remediation.task import Settings, starter

    given = json.loads(sys.stdin.read())
    try:
        outcome = starter(Settings(**given["settings"]))(load_text(given["usecase"], "usecase"))
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(outcome))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
