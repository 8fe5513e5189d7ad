from kfp import dsl

from orchestration.component import component


@component
def rejection(decision: dsl.Input[dsl.Artifact]) -> None:
    """Fail the run because its gate closed, and name the rules that did not hold.

    Args:
        decision: The gate's decision.
    """
    from pathlib import Path

    from components.rejection.task import run

    run(Path(decision.path))
