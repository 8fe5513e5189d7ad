"""Retrainings by the plans of `orchestration.retraining`, with their own rules and their own log."""

from typing import TYPE_CHECKING

from almanac.core.errors import AgentError
from governance.registry import Registry
from operations.agent.actions import Action, Values
from orchestration.retraining import policy
from orchestration.retraining.audit_log import Entry

if TYPE_CHECKING:
    from operations.agent.site import Site


class Retraining(Action):
    """An action that executes a plan; its parameters are those of `propose`."""

    risk = "risky"
    reversible = False

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        """Execute the plan, or go on with an execution that was interrupted."""
        usecase = site.usecase()
        if usecase is None:
            raise AgentError(f"use_cases.{site.use_case}.file: missing; a retraining needs the use case file")
        site.execute_plan(parameters["plan"], usecase, resume=bool(_entries(site, parameters, "started")))
        return self.recall(site, parameters)

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        """Return whether the plan's execution has ended."""
        return bool(_entries(site, parameters, "finished", "failed"))

    def approved(self, site: "Site", parameters: Values) -> bool | None:
        """Return whether the log of retrainings has the plan's approval."""
        return bool(_entries(site, parameters, "approved")) and not _entries(site, parameters, "rejected")

    def recall(self, site: "Site", parameters: Values) -> Values:
        """Return the outcome of a plan's execution, and the version that was in production before it.

        Raises:
            AgentError: the execution failed.
        """
        (end,) = _entries(site, parameters, "finished", "failed")
        if end.kind == "failed":
            raise AgentError(end.why)
        before = policy.find(site.plans().entries(), parameters["plan"]).observed.production
        return {**end.detail, "production": before}

    def going_on(self, site: "Site", result: Values) -> bool:
        """Return whether the training that was submitted to a cluster has not ended."""
        return result.get("result") == "submitted" and site.run_state(result["run"]) is None

    def helped(self, site: "Site", result: Values) -> bool | None:
        """Return whether a new version is in production: on a cluster that of a run that has succeeded."""
        if result.get("result") != "submitted":
            return bool(result.get("result") == "promoted")
        if site.run_state(result["run"]) != "SUCCEEDED":
            return False
        # A gate that closes leaves the version before.
        current = Registry(site.registry).current(site.use_case)
        return current is not None and current.number != result["production"]


def propose(site: "Site", column: str = "") -> Values | None:
    """Return the digest of the open plan for the newest monitoring result; None where no plan may be made now.

    Args:
        site: where.
        column: column whose features the retraining leaves out; "" for none.
    """
    usecase, monitored = site.usecase(), site.monitored()
    if usecase is None or monitored is None:
        return None
    with monitored.reading() as document:
        plan = site.make_plan(usecase, document, column)
    accepted = policy.propose(site.plans(), plan, usecase)
    return None if accepted is None else {"plan": accepted.digest} | ({"column": column} if column else {})


def _entries(site: "Site", parameters: Values, *kinds: str) -> list[Entry]:
    return [entry for entry in site.plans().entries() if entry.plan == parameters["plan"] and entry.kind in kinds]
