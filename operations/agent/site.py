"""The place of actions: one use case with its server, registry, runs and schedules."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from almanac.core.errors import AgentError
from almanac.usecase import UseCase, load
from operations.agent.client import ServerClient
from operations.agent.evidence import Evidence
from operations.agent.evidence.service import Scrape, Scrapes
from operations.agent.failed import Failed, failed_run, failed_runs, is_over
from operations.agent.monitored import Monitored, newest_monitoring
from operations.agent.policy import Policy, Schedules, Training, UseCaseSettings
from orchestration.retraining import policy as retraining
from orchestration.retraining.audit_log import AuditLog
from orchestration.retraining.plan import Plan, make, observe
from orchestration.retraining.start import Builder, local, on_cluster

if TYPE_CHECKING:
    from orchestration.failed_runs import FailedRuns


@dataclass
class Site:
    """A use case as actions and diagnoses see it.

    Attributes:
        use_case: its name.
        policy: the agent's policy.
        settings: the use case's part of it.
        registry: address of the model registry.
        runs: directory of run directories.
        build: returns the training pipeline of a use case; None where the agent cannot train.
        scrapes: the last metrics of its server.
        evidence: the newest evidence.
    """

    use_case: str
    policy: Policy
    settings: UseCaseSettings
    registry: str
    runs: Path
    build: Builder | None = None
    scrapes: Scrapes = field(default_factory=Scrapes)
    evidence: Evidence | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _failed_runs: "FailedRuns | None" = None

    @property
    def model(self) -> str:
        """Name of the server's model."""
        return (self.settings.server.model if self.settings.server else None) or self.use_case

    def client(self) -> ServerClient:
        """Return a client of the use case's server."""
        server = self.settings.server
        if server is None:
            raise AgentError(f"use_cases.{self.use_case}.server: missing")
        return ServerClient(server.url, server.key_file)

    def scrape(self) -> Scrape:
        """Return the server's metrics now; without samples where it does not answer."""
        now = time.monotonic()
        try:
            return Scrape.parse(now, self.client().text("GET", "/metrics"))
        except (AgentError, ValueError):
            return Scrape(now, None)

    def usecase(self) -> UseCase | None:
        """Return the use case of its file; None where the policy names none."""
        return load(Path(self.settings.file)) if self.settings.file else None

    def monitored(self) -> Monitored | None:
        """Return the newest monitoring, of this machine or of a cluster; None without any."""
        return newest_monitoring(self.runs, self.registry, self.use_case)

    @property
    def kubeflow(self) -> Schedules | Training | None:
        """Where Kubeflow is, whose runs of the use case the agent watches; None where the policy names none."""
        return self.settings.training or self.settings.schedules

    def publish_failures(self) -> None:
        """Publish the runs that have failed on the policy's Kubeflow in the registry's store."""
        from operations.agent.cluster import publish_failures
        from orchestration.failed_runs import FailedRuns

        if self.kubeflow is not None:
            self._failed_runs = self._failed_runs or FailedRuns(self.use_case)
            publish_failures(self.kubeflow, self._failed_runs, self.registry, self.clock())

    def failures(self, since: datetime) -> Iterator[Failed]:
        """Yield the runs that have failed since a time, on this machine or on a cluster."""
        return failed_runs(self.runs, self.registry, self.use_case, since)

    def failure(self, place: str) -> Failed | None:
        """Return the failed run whose record is at a place; None where there is none."""
        return failed_run(self.registry, place)

    def is_over(self, failed: Failed) -> bool:
        """Return whether a later run of a failed run's kind has succeeded."""
        return is_over(failed, self.runs, self.registry, self.use_case)

    def plans(self) -> AuditLog:
        """Return the log of retrainings."""
        return AuditLog(self.registry, self.use_case, self.clock)

    def make_plan(self, usecase: UseCase, monitoring: dict[str, Any], column: str) -> Plan:
        """Return the plan of a retraining, without a column's features where one is named."""
        return make(usecase, monitoring, self.registry, self.policy.name, self.clock(), column)

    def execute_plan(self, plan: str, usecase: UseCase, resume: bool) -> dict[str, Any]:
        """Execute an approved plan, here or on the policy's Kubeflow, and return its outcome."""
        if self.build is None or self.settings.file is None:
            raise AgentError("this agent cannot train; execute the plan by `almanac plans execute`")
        if (training := self.settings.training) is not None:
            # By the name of the run, one that was submitted before a kill is found again.
            mark, host, base = f"retraining-{plan[:12]}", training.host, training.base
            submit = partial(on_cluster, self.build, host=host, registry=self.registry, base=base)
            begin = partial(submit, mark=mark, namespace=training.namespace)
        else:
            base = str(Path(self.settings.file).absolute().parent)
            begin = partial(local, self.build, base=base, registry=self.registry, runs=str(self.runs))
        state = partial(observe, usecase, self.registry)
        return retraining.execute(
            self.plans(), plan, usecase, who=self.policy.name, observe=state, start=begin, resume=resume
        )

    def run_state(self, run: str) -> str | None:
        """Return the state in which a run on the policy's Kubeflow has ended; None as long as it goes on."""
        from operations.agent.cluster import run_state

        if self.settings.training is None:
            raise AgentError(f"use_cases.{self.use_case}.training: missing")
        return run_state(self.settings.training, run)

    def replicas(self) -> tuple[int, int]:
        """Return the least replicas of the InferenceService, and the most that they may be."""
        from operations.agent.cluster import replicas

        return replicas(self._service())

    def set_replicas(self, count: int, *, bounded: bool = True) -> None:
        """Set the least replicas of the InferenceService, within the policy's bounds unless others are restored."""
        from operations.agent.cluster import set_replicas

        set_replicas(self._service(), count, bounded=bounded)

    def schedules(self) -> dict[str, bool]:
        """Return whether each schedule runs that the policy names."""
        from operations.agent.cluster import schedules

        return schedules(self._schedules())

    def set_schedule(self, name: str, run: bool) -> None:
        """Let a schedule run, or pause it."""
        from operations.agent.cluster import set_schedule

        set_schedule(self._schedules(), name, run)

    def _service(self) -> Any:
        if self.settings.service is None:
            raise AgentError(f"use_cases.{self.use_case}.service: missing")
        return self.settings.service

    def _schedules(self) -> Any:
        if self.settings.schedules is None:
            raise AgentError(f"use_cases.{self.use_case}.schedules: missing")
        return self.settings.schedules
