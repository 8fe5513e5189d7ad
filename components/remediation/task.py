"""Entry point of the remediation component: write the plan and, if the policy allows it, execute it."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import RemediationError
from almanac.core.files import read_json, write_json, write_text
from almanac.core.progress import summary
from almanac.usecase import UseCase, dump, load_text
from orchestration.retraining.audit_log import AuditLog
from orchestration.retraining.plan import make
from orchestration.retraining.policy import propose, stopped

#: Variable by which kfp knows that a component is running, where it disables the compiler.
_KFP_RUNTIME = "_KFP_RUNTIME"


@dataclass(frozen=True)
class Settings:
    """Locations and the command of the application; see the component's arguments."""

    base: str
    registry: str
    environment: str
    runs: str
    host: str
    execute: str


def run(usecase: str, monitoring: Path, settings: Settings, out: Path) -> dict[str, Any]:
    """Propose a plan, execute it or ask for its approval, and return the artifact's metadata.

    Raises:
        RemediationError: an unknown environment, or a document of another use case.
    """
    case, document = load_text(usecase, "usecase"), read_json(monitoring)
    if settings.environment not in ("local", "cluster"):
        raise RemediationError(f"environment is {settings.environment!r}; expected local or cluster")
    log = AuditLog(settings.registry, case.name)
    plan = propose(log, make(case, document, settings.registry, _proposer(), log.clock()), case)
    if plan is None:
        outcome: dict[str, Any] = {"result": "resting"}
    # Proposed all the same: the plan shows what would have been done.
    elif stopped(log.entries()):
        outcome = {"result": "stopped"}
    elif case.drift.policy.action == "ask":
        approve = f"almanac plans approve {case.name} {plan.digest} --registry {settings.registry} --why REASON"
        outcome = {"result": "asked", "approve": approve}
    else:
        outcome = _execute(case, plan.digest, settings)
    name = plan.digest if plan else ""
    write_json(out, {"digest": name, "plan": plan.model_dump(mode="json") if plan else None, "outcome": outcome})
    summary(f"{outcome['result']}{f', plan {name[:12]}' if name else ''}")
    return {"use_case": case.name, "plan": name, "result": outcome["result"]}


def _execute(usecase: UseCase, plan: str, settings: Settings) -> dict[str, Any]:
    """Execute a plan in a process of its own, because kfp disables the compiler inside a running component.

    Raises:
        RemediationError: the process failed, with its message.
    """
    environment = {key: value for key, value in os.environ.items() if key != _KFP_RUNTIME}
    # The audit log names the pipeline and not the user of the pod.
    environment["ALMANAC_ACTOR"] = _proposer()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{usecase.name}.json"
        # A command line has no room for a whole use case.
        write_text(file, dump(usecase))
        command = [sys.executable, *shlex.split(settings.execute), str(file), plan]
        for name in ("base", "registry", "environment", "runs", "host"):
            command += [f"--{name}", str(getattr(settings, name))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RemediationError(done.stderr.strip().removeprefix("error: ") or "the training pipeline was not started")
    # Libraries may print before it.
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def _proposer() -> str:
    """Return the name in which the pipeline proposes and executes."""
    return os.environ.get("ALMANAC_ACTOR", "").strip() or "almanac-pipeline"
