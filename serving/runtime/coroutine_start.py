"""Run a coroutine synchronously and create a task only if it suspends.

Most answers need no suspension, and a task costs more than the prediction does.
"""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def resume(coroutine: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Run the rest of a coroutine that was started by `send(None)`.

    Args:
        coroutine: the suspended coroutine.
        waiting: what `send` returned: the future that the coroutine waits for.
    """
    while True:
        try:
            try:
                value = yield waiting
            # A cancellation too: it must reach the coroutine, which may have to clean up.
            except BaseException as error:
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(value)
        except StopIteration as end:
            result: T = end.value
            return result


async def ensure_task() -> None:
    """Suspend a coroutine that runs outside of a task, so that it goes on inside one; time-outs need a task."""
    if asyncio.current_task() is None:
        await _pause()


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield
