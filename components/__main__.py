"""Run a component as Kubeflow's launcher starts it: `python -m components kfp.dsl.executor_main …`.

With `--wait` the same arguments come as JSON by standard input, after everything is imported that each component needs.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser
from importlib import import_module

# Before any import of KFP, which then leaves out its compiler: a third of a second for each task.
os.environ["_KFP_RUNTIME"] = "true"


def main() -> None:
    """Call the function of a component with the executor input."""
    from kfp.dsl.executor import Executor

    parser = ArgumentParser(prog="python -m components", description=main.__doc__)
    parser.add_argument("protocol", choices=["kfp.dsl.executor_main"])
    parser.add_argument("--function_to_execute", required=True, help="name of the component")
    parser.add_argument("--executor_input", required=True, type=json.loads, help="inputs and outputs, as KFP's JSON")
    given = parser.parse_args(_awaited() if sys.argv[1:] == ["--wait"] else None)
    name = given.function_to_execute
    function = getattr(import_module(f"components.{name}.component"), name)
    start = time.perf_counter()
    Executor(executor_input=given.executor_input, function_to_execute=function).execute()
    # What is left of a task's time is the runner's: its container, Python, imports.
    print(f"[body] {time.perf_counter() - start:.3f} s", flush=True)


def _awaited() -> list[str]:
    """Return the arguments of a task, for which the runner may not have had one yet."""
    from almanac.usecase import UseCase

    # Imports every kind that a use case may name.
    UseCase.model_rebuild()
    task = json.loads(sys.stdin.readline() or "null")
    # The run has ended before.
    if task is None:
        sys.exit()
    os.environ.update(task["environment"])
    return list(task["arguments"])


if __name__ == "__main__":
    main()
