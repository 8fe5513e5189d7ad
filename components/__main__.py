"""Run a component as Kubeflow's launcher starts it: `python -m components kfp.dsl.executor_main …`."""

import json
import os
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
    given = parser.parse_args()
    name = given.function_to_execute
    function = getattr(import_module(f"components.{name}.component"), name)
    start = time.perf_counter()
    Executor(executor_input=given.executor_input, function_to_execute=function).execute()
    # What is left of a task's time is the runner's: its container, Python, imports.
    print(f"[body] {time.perf_counter() - start:.3f} s", flush=True)


if __name__ == "__main__":
    main()
