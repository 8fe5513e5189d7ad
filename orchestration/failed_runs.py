"""Failed runs on a cluster, as Kubeflow knows them: also those whose pod was killed before it could write a word."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from almanac.core.errors import CLOSED
from orchestration.cluster import Cluster
from orchestration.rundir import failure_record, new_run_id
from orchestration.settings import SETTINGS, pipeline_name
from orchestration.tasks import error_of, failed_task

#: Failed runs older than this are no news to anybody.
OLDEST = timedelta(days=7)
KINDS = ("training", "monitoring", "batch")


class FailedRuns:
    """Finds the failed runs of a use case on a cluster.

    Attributes:
        use_case: its name.
    """

    def __init__(self, use_case: str) -> None:
        self.use_case = use_case
        self._kinds = {pipeline_name(use_case, kind): kind for kind in KINDS}
        self._seen: set[str] = set()

    def new(self, cluster: Cluster, now: datetime, known: Collection[str]) -> Iterator[dict[str, Any]]:
        """Yield the records of those that were not found before.

        Args:
            cluster: the cluster.
            now: the present.
            known: ids of runs whose records are there already.

        Raises:
            UnreachableError: no answer.
            RefusedError: a refused token.
        """
        for run in cluster.failed_runs(now - OLDEST):
            if run.run_id in self._seen:
                continue
            kind, run_id = self._kinds.get(cluster.pipeline_of(run)), new_run_id(run.created_at, run.run_id)
            if kind is not None and run_id not in known:
                step, error = _explained(cluster, run)
                record = failure_record(
                    run_id,
                    self.use_case,
                    kind,
                    failed=run.finished_at,
                    runner="kubeflow",
                    step=step,
                    error=error,
                    command=cluster.command(run.run_id),
                )
                # A local run whose gate closed has a directory, and a record of its own.
                yield record | ({"gate_passed": False} if error.startswith(CLOSED) else {})
            # Only now, as the caller may have failed to keep it.
            self._seen.add(run.run_id)


def _explained(cluster: Cluster, run: Any) -> tuple[str, str]:
    """Return the task of a run that failed first, and the message of its error."""
    step, log = failed_task(run, SETTINGS), cluster.log(run)
    if error := error_of(log):
        return step, error
    task = f"the task {step}" if step else "a task"
    if log:
        # A task of ours that fails by itself says why.
        return step, f"{task} ended without an error: its container was killed, as by a limit of memory or time"
    return step, f"{task} failed and left no log: its pod was evicted or removed, or has never started"
