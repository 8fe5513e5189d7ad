"""When a connection is read, and when it is not.

The event loop reads up to 32 pieces of 256 kB from one connection before it looks at another. So after a long piece the
connection rests until the next turn of the loop, whoever takes the bytes or discards them.
"""

from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import FlowControl

if TYPE_CHECKING:
    import asyncio

#: Bytes of a piece after which others get their turn. A shorter one emptied the kernel's buffer, and nothing follows.
LONG_PIECE = 64 << 10


class ReadFlow(FlowControl):
    """Reads while no reason speaks against it: each is given up by itself and undoes no other.

    The reasons: uvicorn has enough (`read_paused`), an answer is pending (`hold`), the turn is spent.

    Args:
        transport: the connection.
        loop: the event loop.
    """

    def __init__(self, transport: "asyncio.Transport", loop: "asyncio.AbstractEventLoop") -> None:
        super().__init__(transport)
        self._loop = loop
        self._held = False
        self._spent = False

    def pause_reading(self) -> None:
        """Stop reading until uvicorn has taken the bytes that were read."""
        self.read_paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again, as far as uvicorn is concerned."""
        if self.read_paused:
            self.read_paused = False
            self._read()

    def hold(self) -> None:
        """Read no more before the pending answer is sent."""
        self._held = True
        self._transport.pause_reading()

    def release(self) -> None:
        """Read again, as far as the answer is concerned."""
        self._held = False
        self._read()

    def end_turn(self) -> None:
        """Read no more before the next turn of the event loop."""
        if not self._spent:
            self._spent = True
            self._transport.pause_reading()
            self._loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._spent = False
        self._read()

    def _read(self) -> None:
        if not (self.read_paused or self._held or self._spent):
            self._transport.resume_reading()
