"""The training pipeline on this machine, from a use case file to a run directory."""

import fcntl
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import GateError, InterruptedRunError, PipelineError, gate_message
from almanac.core.files import read_json, write_json
from almanac.reports.numbers import with_error
from almanac.usecase import UseCase, digest
from governance import signing
from governance.documents.layout import FOLDER, REGISTRATION
from governance.registry import Registry
from orchestration.console import Screen
from orchestration.local_run import LocalRun, Runner, RunOptions
from orchestration.rundir import (
    FAILURES,
    LAYOUT,
    Layout,
    assemble,
    failure_record,
    new_run_id,
    point_latest,
    prune,
    run_record,
    timestamp,
)
from orchestration.statements_check import check_draft

# Working directories hold the files of cached outputs; older ones are computed again when needed.
_KEPT = 8
#: Components whose results depend on the model in production and on the day.
_ALWAYS = frozenset({"prediction", "monitoring", "remediation"})


@dataclass(frozen=True)
class Request:
    """A use case to run, and the directories and addresses of the run."""

    usecase: UseCase
    path: Path
    out: Path
    registry: str
    runner: Runner = "subprocess"
    push: str = ""

    @property
    def home(self) -> Path:
        """Directory of the use case's runs."""
        return self.out / self.usecase.name


def run_training(request: Request, pipeline: Callable[..., Any], screen: Screen) -> dict[str, Any]:
    """Run the training pipeline and return the run's record, the content of run.json.

    Raises:
        PipelineError: a step failed, with the step's own message; finished steps are cached.
        GateError: the model did not pass its gate; the run directory is written, nothing is registered.
        DocumentError: a statement or answer is given and wrong.
    """
    # Before hours of training rather than after it.
    if missing := check_draft(request.usecase):
        screen.line(
            f"  a draft: {len(missing)} statements and answers are not stated (almanac statements {request.path})"
        )
    arguments = {
        "base": str(request.path.absolute().parent),
        "registry": _address(request, request.registry),
        "environment": "local",
        "push": _address(request, request.push) if request.push else "",
    }
    run, record = execute(request, request.home, "training", pipeline, arguments, screen, tolerate=_gate_closed)
    directory = request.home / record["run_id"]
    record = keep(directory, run, record, LAYOUT)
    if _gate_closed(run):
        closed = gate_message(read_json(run.outputs["gate"]["decision"]))
        raise GateError(f"{closed}\nNothing was registered. The report: {short_path(directory / 'report.html')}")
    return record


def keep(directory: Path, run: LocalRun, record: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """Write the outputs and the record of a run to a directory, point `latest` to it, and return the record."""
    record = assemble(directory, run.outputs, record, layout)
    _sign(directory)
    point_latest(directory)
    # Only now, because cached outputs are in the working directories of earlier runs.
    prune(directory.parent / ".work", _KEPT)
    return record


def _sign(directory: Path) -> None:
    """Sign a run that registered a version, since its reports and run.json are in no version."""
    if not (directory / FOLDER).is_dir():
        return
    signature = read_json(directory / REGISTRATION)["signature"]
    signing.sign_contents(directory, signing.RUN_SIGNATURE, signing.key_of(signature["fingerprint"]))


def execute(
    request: Request,
    home: Path,
    kind: str,
    pipeline: Callable[..., Any],
    arguments: dict[str, Any],
    screen: Screen,
    tolerate: Callable[[LocalRun], bool] = lambda run: False,
) -> tuple[LocalRun, dict[str, Any]]:
    """Run a pipeline, and return its steps and outputs and the record of the run.

    Args:
        request: the use case and the directories of the run.
        home: directory of runs of this kind, of which one runs at a time. Kinds do not wait for each other, because a
            monitoring may start a training.
        kind: name of the pipeline's kind, for the screen.
        pipeline: the pipeline.
        arguments: its parameters.
        screen: output of the progress.
        tolerate: returns whether a run with an error is no failure, as when the gate closed.

    Raises:
        PipelineError: a step failed.
        InterruptedRunError: the user interrupted it.
    """
    # Kubeflow takes half a second to import, which a help or a faulty use case file does not wait for.
    from orchestration.local import run_local

    usecase = request.usecase
    started, use_case_digest = timestamp(), digest(usecase)
    run_id = new_run_id(started, use_case_digest)
    work = (home / ".work" / run_id).absolute()
    try:
        screen.line(f"{usecase.title}: {kind}, run {run_id}")
        # Two runs of a kind would prune each other's working directories.
        with _locked(home, request.out, screen):
            run = run_local(pipeline, arguments, _options(request, work), screen)
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted; the same command goes on from the last finished step") from None
    # A closed gate fails the registration, but the run directory explains why, so that it is written.
    if run.error is not None and not tolerate(run):
        log = work / "log.txt"
        _note_failure(request, kind, run_id, run, log)
        raise PipelineError(f"{run.error}\nThe whole log: {short_path(log)}")
    registry = _absolute(request.registry)
    return run, run_record(run_id, usecase.name, use_case_digest, started, request.runner, registry, run.steps)


def _note_failure(request: Request, kind: str, run_id: str, run: LocalRun, log: Path) -> None:
    """Write a record of a failed run, which has no run directory, for those who look for its cause."""
    table = run.outputs.get("ingestion", {}).get("table")
    record = failure_record(
        run_id,
        request.usecase.name,
        kind,
        failed=timestamp(),
        runner=request.runner,
        step=next((step.name for step in run.steps if step.failed), ""),
        error=run.error or "",
        command=shlex.join(("cat", str(log))),
    )
    record["table"] = str(table) if isinstance(table, Path) else None
    write_json(request.home / FAILURES / f"{run_id}.json", record)


def show(request: Request, record: dict[str, Any], screen: Screen) -> None:
    """Print the leading metrics of a run and the paths of its outputs."""
    directory = request.home / record["run_id"]
    screen.line()
    targets = read_json(directory / "metrics.json")["targets"]
    width = max(15, *(len(name) for name in targets))
    for name, target in targets.items():
        screen.line(f"  {_metrics_line(name.ljust(width), target)}")
    latest = short_path(directory.parent / "latest")
    screen.line()
    screen.line(f"  report    {latest}/report.html")
    for label, name in (("cards", "governance/index.html"), ("manifest", "inferenceservice.yaml"), ("model", "model")):
        if (directory / name).exists():
            screen.line(f"  {label:<10}{latest}/{name}")


def _metrics_line(name: str, target: dict[str, Any]) -> str:
    """Return a target's line: error, error of the best baseline, skill against it, and coverage of the interval."""
    best = target["headline"]
    metric = best["metric"]
    error = with_error(target[metric], (target.get("ci") or {}).get(metric))
    line = f"{name} {metric} {error:>8}"
    if best["skill"] is not None:
        line += f"   {best['baseline']:<11} {with_error(best['error'], best['ci'] and _scaled(best)):>8}"
        line += f"   skill {best['skill']:6.1%}"
    coverage = (target.get("coverage") or {}).get("overall")
    return line if coverage is None else f"{line}   coverage {coverage:.1%}"


def _scaled(best: dict[str, Any]) -> list[float]:
    """Return the interval of a skill in units of the baseline's error."""
    return [best["error"] * end for end in best["ci"]]


def _address(request: Request, address: str) -> str:
    """Return an address that tasks write to; for containers as an absolute path."""
    if request.runner == "subprocess" or "://" in address:
        return address
    return _absolute(address)


def _absolute(address: str) -> str:
    return address if "://" in address else str(Path(address).absolute())


def _shared(request: Request) -> tuple[Path, ...]:
    """Return the directories that containers mount: sources, downloads, and where tasks write."""
    directories = [Path(os.environ["ALMANAC_CACHE"]).absolute()]
    written = [_address(request, address) for address in (request.registry, request.push) if address]
    directories += [Path(address) for address in written if "://" not in address]
    for path in directories:
        path.mkdir(parents=True, exist_ok=True)
    if mirror := os.environ.get("ALMANAC_MIRROR"):
        directories.append(Path(mirror))
    return (request.path.absolute().parent, *directories)


def _options(request: Request, work: Path) -> RunOptions:
    pinned = all(source.sha256 is not None for source in request.usecase.sources)
    return RunOptions(
        work=work,
        cache=(request.home / ".cache").absolute(),
        runner=request.runner,
        shared=_shared(request) if request.runner == "docker" else (),
        # A source without a digest may have changed at its address.
        never_cached=_ALWAYS if pinned else _ALWAYS | {"preflight", "fingerprint"},
        settled=("preflight", "gate", "registration", "documentation", "deployment"),
        registry_state=lambda component, url: _registry_state(component, url, request.usecase.name),
    )


def _registry_state(component: str, url: str, use_case: str) -> str:
    """Return the digest of the newest event of a use case, which is chained to all earlier ones.

    Drift reads the model in production, and no further event; configuration a use case by its digest, and none.
    """
    if component == "configuration":
        return ""
    if component == "drift":
        registry = Registry(url)
        current = registry.current(use_case)
        if current is None:
            return ""
        version = registry.origin(use_case, current)
        return f"{version.number} {version.manifest}"
    last = Registry(url).state(use_case).last
    return "" if last is None else last.digest


def _gate_closed(run: LocalRun) -> bool:
    return run.outputs.get("gate", {}).get("Output") is False or (
        "decision" in run.outputs.get("gate", {}) and not read_json(run.outputs["gate"]["decision"])["passed"]
    )


@contextmanager
def _locked(home: Path, out: Path, screen: Screen) -> Iterator[None]:
    """Hold the lock of a kind of runs, so that a second one waits, and set the directory of downloads."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock_file = (home / ".lock").open("w")
    except OSError as error:
        raise PipelineError(f"--out {out}: cannot be written to ({error.strerror})") from None
    os.environ.setdefault("ALMANAC_CACHE", str((Path.cwd() / ".cache").absolute()))
    if mirror := os.environ.get("ALMANAC_MIRROR"):
        # Tasks, and the containers that mount it, have working directories of their own.
        os.environ["ALMANAC_MIRROR"] = str(Path(mirror).absolute())
    with lock_file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            screen.line("  waiting for another run of this use case to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def short_path(path: Path) -> str:
    """Return a path relative to the working directory, if it is below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
