"""The training pipeline on this machine, from a use case file to a run directory."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import GateError, InterruptedRunError, PipelineError
from almanac.core.files import read_json
from almanac.core.revision import git_revision
from almanac.usecase import UseCase, digest
from governance.registry import Registry
from orchestration.console import Screen
from orchestration.local import LocalRun, Place, Runner, run_local
from orchestration.rundir import (
    LAYOUT,
    Layout,
    assemble,
    libraries,
    new_run_id,
    point_latest,
    prune,
    steps_record,
    timestamp,
)
from orchestration.statements_check import check_facts

_KEPT = 8
#: What depends on the model in production and on the day.
_ALWAYS = frozenset({"prediction", "monitoring", "remediation"})


@dataclass(frozen=True)
class Request:
    """What to run, and where to leave it."""

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
    """Run the training pipeline and return the run's record, as it stands in run.json.

    Raises:
        PipelineError: a step failed; its message is the step's own. What had ended is kept, and is not run again.
        GateError: the model did not pass its gate; the run directory is there, nothing was registered.
        DocumentError: a fact that people must supply for the documents is missing.
    """
    check_facts(request.usecase)
    arguments = {
        "base": str(request.path.absolute().parent),
        "registry": _address(request, request.registry),
        "environment": "local",
        "push": _address(request, request.push) if request.push else "",
    }
    run, record = execute(request, request.home, "training", pipeline, arguments, screen, let_pass=_gate_closed)
    directory = request.home / record["run_id"]
    record = keep(directory, run, record, LAYOUT)
    if _gate_closed(run):
        raise GateError(f"{_refusal(run)}\nNothing was registered. The report: {shown(directory / 'report.html')}")
    return record


def keep(directory: Path, run: LocalRun, record: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """Leave the outputs of a run and its record in a directory, which `latest` then names; return the record."""
    record = assemble(directory, run.outputs, record, layout)
    point_latest(directory)
    # Only now: outputs that were found may lie in the working directories of many runs.
    prune(directory.parent / ".work", _KEPT)
    return record


def execute(
    request: Request,
    home: Path,
    kind: str,
    pipeline: Callable[..., Any],
    arguments: dict[str, Any],
    screen: Screen,
    let_pass: Callable[[LocalRun], bool] = lambda run: False,
) -> tuple[LocalRun, dict[str, Any]]:
    """Run a pipeline and return what it did, and the record of it.

    Args:
        request: what to run.
        home: directory of runs of this kind, of which one runs at a time. Kinds do not wait for each other, as a
            monitoring may start a training.
        kind: what the pipeline does, for the screen.
        pipeline: the pipeline.
        arguments: its parameters.
        screen: where progress is shown.
        let_pass: tells of a run with an error whether that is no failure.

    Raises:
        PipelineError: a step failed.
        InterruptedRunError: a person ended it.
    """
    usecase = request.usecase
    started, use_case_digest = timestamp(), digest(usecase)
    run_id = new_run_id(started, use_case_digest)
    work = (home / ".work" / run_id).absolute()
    try:
        screen.line(f"{usecase.title}: {kind}, run {run_id}")
        with _alone(home, request.out, screen):
            run = run_local(pipeline, arguments, _place(request, work), screen)
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted; the same command goes on from the last finished step") from None
    if run.error is not None and not let_pass(run):
        raise PipelineError(f"{run.error}\nThe whole log: {shown(work / 'log.txt')}")
    return run, {
        "run_id": run_id,
        "use_case": usecase.name,
        "use_case_digest": use_case_digest,
        "git_revision": git_revision(),
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": timestamp().isoformat(timespec="seconds"),
        "runner": request.runner,
        "registry": _absolute(request.registry),
        "libraries": libraries(),
        "steps": steps_record(run.steps),
    }


def show(request: Request, record: dict[str, Any], screen: Screen) -> None:
    """Tell the leading figures of a run, and where to look."""
    directory = request.home / record["run_id"]
    screen.line()
    for name, target in read_json(directory / "metrics.json")["targets"].items():
        screen.line(f"  {_figures(name, target)}")
    latest = shown(directory.parent / "latest")
    screen.line()
    screen.line(f"  report    {latest}/report.html")
    for label, name in (("cards", "governance/index.html"), ("manifest", "inferenceservice.yaml"), ("model", "model")):
        if (directory / name).exists():
            screen.line(f"  {label:<10}{latest}/{name}")


def _figures(name: str, target: dict[str, Any]) -> str:
    """Return a target's line: its error beside persistence's, and how often the interval held the truth."""
    metric = "rmse" if "rmse" in target else "log_loss"
    error, persistence = target[metric], target["baselines"]["persistence"][metric]
    skill = target["skill"]["persistence"][metric]  # over the rows that persistence can forecast as well
    line = f"{name:<15}{metric} {error:8.2f}   persistence {persistence:8.2f}   skill {skill:6.1%}"
    covered = (target.get("coverage") or {}).get("overall")
    return line if covered is None else f"{line}   coverage {covered:.1%}"


def _address(request: Request, address: str) -> str:
    """Return an address that tasks write to, for containers as an absolute path."""
    if request.runner == "subprocess" or "://" in address:
        return address
    return _absolute(address)


def _absolute(address: str) -> str:
    return address if "://" in address else str(Path(address).absolute())


def _shared(request: Request) -> tuple[Path, ...]:
    """Return the directories that containers need beside the working directory: sources, downloads, what is written."""
    made = [Path(os.environ["ALMANAC_CACHE"]).absolute()]
    written = [_address(request, address) for address in (request.registry, request.push) if address]
    made += [Path(address) for address in written if "://" not in address]
    for path in made:
        path.mkdir(parents=True, exist_ok=True)
    return (request.path.absolute().parent, *made)


def _place(request: Request, work: Path) -> Place:
    pinned = all(source.sha256 is not None for source in request.usecase.sources)
    return Place(
        work=work,
        cache=(request.home / ".cache").absolute(),
        runner=request.runner,
        shared=_shared(request) if request.runner == "docker" else (),
        never_cached=_ALWAYS if pinned else _ALWAYS | {"ingestion"},
        settled=("gate", "registration", "documentation", "deployment"),
        registry_state=lambda url: _registry_state(url, request.usecase.name),
    )


def _registry_state(url: str, use_case: str) -> str:
    """Return the digest of the newest event of a use case, which stands for all before it."""
    last = Registry(url).state(use_case).last
    return "" if last is None else last.digest


def _gate_closed(run: LocalRun) -> bool:
    return run.outputs.get("gate", {}).get("Output") is False or (
        "decision" in run.outputs.get("gate", {}) and not read_json(run.outputs["gate"]["decision"])["passed"]
    )


def _refusal(run: LocalRun) -> str:
    failed = [rule for rule in read_json(run.outputs["gate"]["decision"])["rules"] if not rule["passed"]]
    return "\n".join(["The gate is closed:", *(f"  {rule['message']}" for rule in failed)])


@contextmanager
def _alone(home: Path, out: Path, screen: Screen) -> Iterator[None]:
    """Keep downloads beside the project, and a second run of a kind waiting for the first."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock_file = (home / ".lock").open("w")
    except OSError as error:
        raise PipelineError(f"--out {out}: cannot be written to ({error.strerror})") from None
    os.environ.setdefault("ALMANAC_CACHE", str((Path.cwd() / ".cache").absolute()))
    with lock_file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            screen.line("  waiting for another run of this use case to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def shown(path: Path) -> str:
    """Return a path as short as a person would type it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
