"""Workers of the Dask engine: of an existing scheduler, in new pods, or as processes of this machine.

Dask's processes exchange pickled messages, and LightGBM's sockets between the workers know no password, so that a
scheduler and its workers belong in a trusted network (tls:// is configured by Dask's own files). For workers on this
machine Dask listens on loopback only. Nothing pickled is stored.
"""

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

from almanac.core.errors import UnreachableError, WorkerError

T = TypeVar("T")

#: Dask's own name for the scheduler's address.
ADDRESS = "DASK_SCHEDULER_ADDRESS"
#: Time to wait for a scheduler, and then for its workers, in seconds.
PATIENCE = 120.0
_CONFIG = {
    # The placement of the partitions decides the order of LightGBM's sums, so that no task may move.
    "distributed.scheduler.work-stealing": False,
    # Partitions are sent with their tasks, so that another worker can take over those of a lost one.
    "distributed.admin.large-graph-warning-threshold": "1GB",
    # Failures are raised here; the workers' own messages would only hide them.
    "logging.distributed": "critical",
}
_LIBRARIES = ("distributed", "lightgbm", "numpy", "polars")


class WorkerSettings(Protocol):
    """Settings of the workers; section `training.dask` of a use case documents each field."""

    @property
    def address(self) -> str | None: ...  # noqa: D102
    @property
    def kubernetes(self) -> bool: ...  # noqa: D102
    @property
    def workers(self) -> int: ...  # noqa: D102
    @property
    def memory(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Workers:
    """Connected workers of this version.

    Attributes:
        client: Dask's client.
        addresses: the workers that take part, in a fixed order.
    """

    client: Any
    addresses: list[str] = field(default_factory=list)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the future of a call on a worker that takes part, or on the replacement of a lost one."""
        # Dask would hash every argument, such as a whole partition, to name a pure call.
        return self.client.submit(function, *arguments, pure=False, workers=self.addresses, allow_other_workers=True)

    def result(self, future: Any) -> Any:
        """Return the result of a submitted call.

        Raises:
            WorkerError: every worker that tried was lost.
        """
        from distributed.scheduler import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise WorkerError(f"worker after worker was lost; was their memory enough? {error}") from error

    def watch(self, call: Callable[[], T], interval: float = 1.0) -> T:
        """Return the result of `call`; Dask itself would wait forever for work bound to a lost worker.

        Raises:
            WorkerError: a worker that takes part was lost.
        """
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(call())
            # Whatever ends the call must reach the loop below, which would otherwise wait for ever.
            except BaseException as error:
                future.set_exception(error)

        # A call that is bound to a lost worker never returns, and must not keep the process from ending.
        threading.Thread(target=run, daemon=True).start()
        while True:
            done = bool(wait([future], interval).done)
            try:
                lost = sorted(set(self.addresses) - set(self.client.nthreads()))
            except OSError as error:
                raise WorkerError(f"the connection to a worker was lost: {error}") from error
            failure = future.exception() if done else None
            if done and failure is None:
                return future.result()
            # Dask reports a lost worker as a cancelled call or as a broken connection, and sometimes not at all.
            if lost or isinstance(failure, CancelledError | OSError):
                who = f"the worker {lost[0]}" if lost else "a worker"
                raise WorkerError(f"{who} was lost; was its memory enough?") from failure
            if failure is not None:
                raise failure


@contextmanager
def start(settings: WorkerSettings) -> Iterator[Workers]:
    """Yield workers as configured; processes and pods started for them end with the block.

    Raises:
        WorkerError: Dask or dask-kubernetes is not installed, too few workers, or workers of another version.
        UnreachableError: no scheduler answers at the address.
    """
    try:
        import dask
        import distributed
    except ImportError as error:
        raise WorkerError(
            f"the Dask engine needs dask[distributed] (pyproject.toml, group dask), which is not installed: {error}"
        ) from error
    # Set here too, because the configuration applies only to loggers created later, in the workers.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    address = settings.address or os.environ.get(ADDRESS)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIG))
        cluster = address or stack.enter_context(
            _pods(settings) if settings.kubernetes else _processes(settings.workers)
        )
        try:
            # Workers of its own are reachable directly, without a detour through the scheduler.
            client = distributed.Client(cluster, timeout=PATIENCE, direct_to_workers=address is None)
            stack.enter_context(client)
        except (OSError, ValueError) as error:
            raise UnreachableError(
                f"no Dask scheduler answers at {address} (training.dask.address or {ADDRESS}): {error}"
            ) from error
        yield Workers(client, _addresses(client, settings.workers))


@contextmanager
def _processes(count: int) -> Iterator[Any]:
    """Yield a cluster of processes of this machine, one thread each."""
    import distributed

    with (
        tempfile.TemporaryDirectory() as scratch,
        distributed.LocalCluster(
            n_workers=count,
            # The number of threads, too, decides the order of LightGBM's sums.
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            # A limit would make Dask spill to the disk; the machine's or the container's own limit applies.
            memory_limit=0,
            local_directory=scratch,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster


@contextmanager
def _pods(settings: WorkerSettings) -> Iterator[Any]:
    """Yield a cluster of pods in this pod's namespace, with the same image."""
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError as error:
        raise WorkerError(
            "training.dask.kubernetes needs dask-kubernetes, which is not installed: "
            "pip install dask-kubernetes, in an image made from this one"
        ) from error
    from almanac.core.image import IMAGE

    sizes = {"memory": settings.memory, "cpu": "1"}
    try:
        cluster = KubeCluster(
            name=f"almanac-{os.urandom(4).hex()}",
            image=IMAGE,
            n_workers=settings.workers,
            resources={"requests": sizes, "limits": sizes},
            # One thread and no limit of Dask's own, as for processes of this machine.
            worker_command=["dask", "worker", "--nthreads", "1", "--memory-limit", "0"],
            quiet=True,
        )
    # The operator's client raises errors of its own, and of the libraries below it.
    except Exception as error:
        raise WorkerError(f"dask-kubernetes cannot start workers; is the Dask operator installed? {error}") from error
    with cluster:
        yield cluster


def _addresses(client: Any, count: int) -> list[str]:
    """Return the addresses of the workers that take part, after enough have joined, all of this version."""
    try:
        client.wait_for_workers(count, timeout=PATIENCE)
    except TimeoutError:
        raise WorkerError(
            f"{len(client.nthreads())} of {count} workers (training.dask.workers) joined the Dask scheduler "
            f"within {PATIENCE:g} s"
        ) from None
    # No more than asked for, even where a scheduler has more: a model's bytes depend on their number.
    addresses = sorted(client.nthreads())[:count]
    try:
        # The function is sent by its name, so that a worker without this project fails to import it.
        identities = client.run(identity, workers=addresses)
    except ImportError as error:
        raise WorkerError(f"a Dask worker cannot import this project; run workers in its image: {error}") from error
    ours = identity()
    for address in addresses:
        for name, theirs in identities[address].items():
            if theirs != ours[name]:
                raise WorkerError(f"the Dask worker {address} has {name} {theirs}, this task {ours[name]}")
    return addresses


def identity() -> dict[str, str]:
    """Return the versions that a worker must share with the task that it works for."""
    from almanac.core.image import VERSION

    return {"almanac": VERSION, **{name: version(name) for name in _LIBRARIES}}
