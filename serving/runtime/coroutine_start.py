"""Coroutines that are begun outside of a task: most end at once, and then none was made for them."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


@types.coroutine
def go_on(coroutine: Coroutine[Any, Any, bytes], waiting: Any) -> Generator[Any, Any, bytes]:
    """Run the rest of a coroutine that was begun by `send(None)`, and that waits for what this returned."""
    while True:
        try:
            try:
                value = yield waiting
            except BaseException as error:
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(value)
        except StopIteration as end:
            return bytes(end.value)


async def into_task() -> None:
    """Hand a coroutine that was begun outside of a task over to one: for what needs a task, as timeouts do."""
    if asyncio.current_task() is None:
        await _pause()


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield
