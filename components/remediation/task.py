"""What the component runs: the plan, and what becomes of it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from almanac.core.errors import RemediationError
from almanac.core.files import read_json, write_json
from almanac.core.progress import summary
from almanac.usecase import UseCase, load_text
from orchestration.retraining import process
from orchestration.retraining.audit_log import Ledger
from orchestration.retraining.plan import make, observe
from orchestration.retraining.policy import execute, propose, stopped


@dataclass(frozen=True)
class Settings:
    """Where things are; see the component's arguments."""

    base: str
    registry: str
    environment: str
    runs: str = "runs"
    host: str = ""


def run(usecase: str, monitoring: Path, settings: Settings, out: Path) -> dict[str, Any]:
    """Plan, start or ask, write the plan with its outcome, and return the artifact's metadata.

    Raises:
        RemediationError: an unknown environment, or a document of another use case.
    """
    case, document = load_text(usecase, "usecase"), read_json(monitoring)
    if settings.environment not in ("local", "cluster"):
        raise RemediationError(f"environment is {settings.environment!r}; right would be local or cluster")
    ledger = Ledger(settings.registry, case.name)
    plan = propose(ledger, make(case, document, settings.registry, proposer(), ledger.clock()), case)
    if plan is None:
        outcome: dict[str, Any] = {"result": "resting"}
    elif stopped(ledger.entries()):
        outcome = {"result": "stopped"}
    elif case.drift.policy.action == "ask":
        outcome = {"result": "asked", "approve": _command(case, settings, plan.digest)}
    else:
        outcome = carry_out(ledger, plan.digest, case, settings, proposer())
    name = plan.digest if plan else ""
    write_json(out, {"digest": name, "plan": plan.model_dump(mode="json") if plan else None, "outcome": outcome})
    summary(f"{outcome['result']}{f', plan {name[:12]}' if name else ''}")
    return {"use_case": case.name, "plan": name, "result": outcome["result"]}


def carry_out(
    ledger: Ledger, plan: str, usecase: UseCase, settings: Settings, who: str, resume: bool = False
) -> dict[str, Any]:
    """Execute a plan in its environment and return what came of it."""
    seen = partial(observe, usecase, settings.registry)
    begin = partial(process.begin, settings=settings) if os.environ.get(process.TASK) == "true" else starter(settings)
    return execute(ledger, plan, usecase, who=who, observe=seen, start=begin, resume=resume)


def starter(settings: Settings) -> Callable[[UseCase], dict[str, Any]]:
    """Return what starts the training pipeline in an environment."""
    from orchestration.retraining import start

    if settings.environment == "cluster":
        return partial(start.on_cluster, host=settings.host, registry=settings.registry, base=settings.base)
    return partial(start.local, base=settings.base, registry=settings.registry, runs=settings.runs)


def proposer() -> str:
    """Return in whose name the pipeline proposes: ALMANAC_ACTOR, or its own."""
    return os.environ.get("ALMANAC_ACTOR", "").strip() or "almanac-pipeline"


def _command(usecase: UseCase, settings: Settings, plan: str) -> str:
    approve = f"python -m orchestration.retraining approve {usecase.name} {plan}"
    return f"{approve} --registry {settings.registry} --why REASON"
