"""Reasons to pause reading: each ends by itself and undoes no other."""

import asyncio
import random

from serving.transport.uvicorn_http.read_flow import ReadFlow


class Connection(asyncio.Transport):
    """A transport that knows whether it reads."""

    reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def test_a_connection_is_read_while_no_reason_speaks_against_it() -> None:
    asyncio.run(_walk(random.Random(3)))


async def _walk(rng: random.Random) -> None:
    connection = Connection()
    flow = ReadFlow(connection, asyncio.get_running_loop())
    reasons: set[str] = set()
    begins = {"uvicorn": flow.pause_reading, "answer": flow.hold, "turn": flow.end_turn}
    ends = {"uvicorn": flow.resume_reading, "answer": flow.release}
    for _ in range(500):
        reason = rng.choice(list(begins))
        if rng.random() < 0.5:
            begins[reason]()
            reasons.add(reason)
        else:
            if reason == "turn":
                await asyncio.sleep(0)
            else:
                ends[reason]()
            reasons.discard(reason)
        assert connection.reading == (not reasons), reasons
