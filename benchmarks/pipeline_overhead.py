"""`python -m benchmarks.pipeline_overhead`: the cost of orchestration over the same functions in one process.

The pipeline is run as `pipeline.py run` runs it, every task in a process of its own, with nothing cached; then the
same component functions are called one after the other in one fresh process, on artifacts of the same kind. Both are
whole commands, imports included; the rounds alternate, and the ratio of each round is reported.

With `--tasks` the pipeline alone is run, by `--runner subprocess` or docker, and each task's wall-clock time is set
beside that of its component's body: the rest is what the runner, the start of a process or container, Python and
Kubeflow's own imports cost. Both times stand in the run's log.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kfp import dsl

from almanac.core.files import write_text

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.pipeline_overhead", description=__doc__)
    parser.add_argument("--usecase", type=Path, default=sorted((ROOT / "usecases").glob("*.yaml"))[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tasks", action="store_true", help="what each task of one run costs beside its body")
    parser.add_argument("--runner", choices=["subprocess", "docker"], default="subprocess")
    parser.add_argument("--in-process", type=Path, metavar="DIRECTORY", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.in_process is not None:
        run_in_process(options.usecase, options.settings, options.in_process)
        return
    if options.tasks:
        show_tasks(measure_tasks(options.usecase, options.settings, options.runner))
        return
    rounds = [measure(options.usecase, options.settings) for _ in range(options.rounds)]
    report(rounds, as_json=options.json)


def measure(usecase: Path, settings: list[str]) -> dict[str, float]:
    """Return the seconds of one run each way."""
    pairs = [f"--set={setting}" for setting in settings]
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        where = [f"--out={base / 'runs'}", f"--registry={base / 'registry'}"]
        pipeline = timed([sys.executable, "pipeline.py", "run", str(usecase), *where, *pairs])
        module = [sys.executable, "-m", "benchmarks.pipeline_overhead", f"--in-process={base / 'direct'}"]
        direct = timed([*module, f"--usecase={usecase}", *pairs])
    return {"pipeline_seconds": pipeline, "in_process_seconds": direct, "ratio": pipeline / direct}


#: What kfp writes when a task begins and ends, and what its executor writes after the component's body.
_BEGUN = re.compile(r"^(\d\d:\d\d:\d\d\.\d{3}) .*Executing task .*?'([\w-]+)'")
_BODY = re.compile(r"\[body\] ([\d.]+) s$")
_ENDED = re.compile(r"^(\d\d:\d\d:\d\d\.\d{3}) .*Task .*? finished with status")
_CLOCK = "%H:%M:%S.%f"


def task_times(log: str) -> dict[str, tuple[float, float]]:
    """Return of each task in a run's log its wall-clock seconds, and those of its component's body."""
    found: dict[str, tuple[float, float]] = {}
    name, begun, body = "", datetime.min, 0.0
    for line in log.splitlines():
        if match := _BEGUN.search(line.strip()):
            name, begun, body = match[2], datetime.strptime(match[1], _CLOCK), 0.0
        elif match := _BODY.search(line.strip()):
            body = float(match[1])
        elif name and (match := _ENDED.search(line.strip())):
            found[name] = _seconds(begun, datetime.strptime(match[1], _CLOCK)), body
    return found


def _seconds(start: datetime, stop: datetime) -> float:
    """Return the seconds between two times of day; midnight may lie between them."""
    return ((stop - start) % timedelta(days=1)).total_seconds()


def measure_tasks(usecase: Path, settings: list[str], runner: str) -> dict[str, tuple[float, float]]:
    """Run the pipeline and return its tasks' times."""
    pairs = [f"--set={setting}" for setting in settings]
    with tempfile.TemporaryDirectory() as name:
        where = [f"--out={name}/runs", f"--registry={name}/registry", f"--runner={runner}"]
        timed([sys.executable, "pipeline.py", "run", str(usecase), *where, *pairs])
        (log,) = Path(name).glob("runs/*/.work/*/log.txt")
        return task_times(log.read_text(encoding="utf-8"))


def show_tasks(times: dict[str, tuple[float, float]]) -> None:
    """Print the tasks' times."""
    print(f"{'task':<16}{'wall s':>8}{'body s':>8}{'rest s':>8}")
    for name, (wall, body) in times.items():
        print(f"{name:<16}{wall:8.2f}{body:8.2f}{wall - body:8.2f}")
    rest = [wall - body for wall, body in times.values()]
    print(f"beside the bodies {statistics.median(rest):.2f} s a task in the median, {max(rest):.2f} s at most")


def timed(command: list[str]) -> float:
    """Return the wall-clock seconds of a command, which must succeed."""
    environment = {**os.environ, "ALMANAC_CACHE": str(ROOT / ".cache")}
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def report(rounds: list[dict[str, float]], as_json: bool) -> None:
    """Print the rounds and the median ratio."""
    ratio = statistics.median(each["ratio"] for each in rounds)
    if as_json:
        print(json.dumps({"rounds": rounds, "median_ratio": ratio}, indent=2))
        return
    print(f"{'pipeline s':>12}{'one process s':>16}{'ratio':>8}")
    for each in rounds:
        print(f"{each['pipeline_seconds']:12.1f}{each['in_process_seconds']:16.1f}{each['ratio']:8.2f}")
    print(f"orchestration costs {ratio - 1:.0%} over the same functions in one process")


class Direct:
    """Calls components' functions on real artifacts below a directory, each output where kfp would put it."""

    def __init__(self, usecase: str, directory: Path) -> None:
        self._usecase, self._directory = dsl.Artifact(uri=str(directory / "usecase")), directory
        write_text(Path(self._usecase.path), usecase)

    def __call__(self, component: Any, outputs: dict[str, Any], **inputs: Any) -> dict[str, Any]:
        """Call a component; return its output artifacts by name, and its own result as `Output`."""
        folder = self._directory / component.name
        folder.mkdir(parents=True, exist_ok=True)
        made = {name: kind(name=name, uri=str(folder / name), metadata={}) for name, kind in outputs.items()}
        if "usecase" in component.python_func.__annotations__:
            inputs = {"usecase": self._usecase, **inputs}
        return {**made, "Output": component.python_func(**inputs, **made)}


def run_in_process(usecase: Path, settings: list[str], directory: Path) -> None:
    """Call the functions of the training pipeline's components one after the other."""
    from almanac.usecase import dump
    from almanac.usecase.override import load_with
    from almanac.usecase.packed import VARIABLE, label, pack
    from components.deployment.component import deployment
    from components.documentation.component import documentation
    from components.drift.component import drift
    from components.evaluation.component import evaluation
    from components.gate.component import gate
    from components.ingestion.component import ingestion
    from components.preflight.component import preflight
    from components.preprocessing.component import preprocessing
    from components.registration.component import registration
    from components.training.component import training
    from components.validation.component import validation

    case = load_with(usecase, settings)
    call = Direct(dump(case), directory)
    os.environ[VARIABLE] = pack(case)
    registry = str(directory / "registry")
    data, file, page = dsl.Dataset, dsl.Artifact, dsl.HTML
    base = str(usecase.absolute().parent)
    where = {"registry": registry, "environment": "local"}
    present = call(preflight, {}, compiled=label(case), overrides="", base=base, **where)["Output"].fingerprint
    ingested = call(ingestion, {"table": data, "lineage": file}, base=base, fingerprint=present)
    valid = call(validation, {"validated": data, "report": page}, table=ingested["table"])["validated"]
    call(drift, {"drift": file, "report": page}, table=valid, registry=registry)
    features = call(preprocessing, {"features": data, "specification": file}, table=valid)
    fitted = {"features": features["features"], "specification": features["specification"]}
    kinds = {"model": dsl.Model, "tuning": file, "tracking": file, "metrics": dsl.Metrics}
    trained = call(training, kinds, table=valid, **fitted)
    kinds = {"figures": file, "evaluation": file, "predictions": data, "report": page, "metrics": dsl.Metrics}
    model = {"model": trained["model"], "tuning": trained["tuning"]}
    judged = call(evaluation, kinds, features=features["features"], **model)
    rows = {"figures": judged["figures"], "predictions": judged["predictions"], "table": valid}
    decided = call(gate, {"decision": file, "judged": data}, registry=registry, **rows)
    judgement = {name: judged[name] for name in ("figures", "evaluation")}
    judgement |= {"decision": decided["decision"], "predictions": decided["judged"]}
    evidence = {**model, **judgement, "lineage": ingested["lineage"]}
    kinds = {"registration": file}
    registered = call(registration, kinds, registry=registry, environment="local", **evidence)
    kinds = {"governance": file, "page": page}
    documented = call(documentation, kinds, registration=registered["registration"], registry=registry)
    promoted = documented["Output"]
    call(deployment, {"manifest": file}, promoted=promoted, registry=registry, environment="local", push="")


if __name__ == "__main__":
    main(sys.argv[1:])
