"""Compiling quickly under pytest."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kfp.dsl import pipeline_task


@pytest.fixture(scope="package", autouse=True)
def quick_stack() -> Iterator[None]:
    """Give kfp the names of the calling functions without their sources.

    For each setting of a task kfp asks `inspect.stack` for the name of the calling method. Under pytest the stack is
    deep and holds frames without a file, for which `inspect` goes through every loaded module: seconds a pipeline.
    """

    def stack() -> list[tuple[None, None, None, str]]:
        caller = sys._getframe(1)
        return [(None, None, None, frame.f_code.co_name) for frame in (caller, caller.f_back) if frame is not None]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=stack))
        yield
