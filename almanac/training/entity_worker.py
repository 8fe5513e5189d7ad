"""The program of a process that fits entities: one JSON object a line in, {"function", "arguments", "values"}, one out.

The answer is {"result"} or {"error"}. Floating-point numbers pass through JSON without a change.
"""

import importlib
import json
import sys
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    module, _, name = task["function"].partition(":")
    try:
        estimate = getattr(importlib.import_module(module), name)
        return {"result": estimate(np.array(task["values"], dtype=np.float64), **task["arguments"])}
    except Exception as error:
        return {"error": str(error) or type(error).__name__}


def main() -> None:
    """Answer until standard input ends."""
    # What a library prints goes to the log, and not between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        with threadpool_limits(1):
            answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
