"""A mixed load on a server whose answers are known beforehand; every answer is checked."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

#: Statuses that an answer may have by kind of request; a 503 must say when to try again.
_ALLOWED = {"rows": {200}, "tensors": {200}, "anew": {200}, "entity": {200, 503}, "ingest": {200, 503}}


@dataclass(frozen=True)
class Question:
    """A request and its prediction by the version that may answer it.

    Attributes:
        kind: rows, tensors, anew, entity or ingest.
        path: path of the request.
        body: its body.
        expected: the prediction by version, computed offline; none for an ingestion.
    """

    kind: str
    path: str
    body: bytes
    expected: dict[str, float] = field(default_factory=dict)

    @property
    def fresh(self) -> bool:
        """Whether the client connects anew."""
        return self.kind == "anew"


class Load:
    """Clients that ask at a rate.

    Attributes:
        phase: what is done to the server now; failures are kept with it.
        asked: numbers of answers by kind and status.
        wrong: answers with another number.
        failed: requests without an answer that is allowed.
        reconnected: requests sent again since the server had closed the idle connection before they arrived.
        repeated: by phase, requests sent again since a process was killed that had taken their connection.
    """

    def __init__(self, port: int, key: str, questions: list[Question], clients: int = 16) -> None:
        self.phase = "warm-up"
        self.asked: Counter[tuple[str, int]] = Counter()
        self.versions: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.failed: list[str] = []
        self.reconnected: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        self._port, self._questions, self._clients = port, questions, clients
        self._head = f"Host: localhost\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        self._numbers = count()

    async def run(self, rate: float | None, until: Callable[[], bool]) -> float:
        """Ask until the condition holds; return the answers a second. Without a rate each client asks at once again."""
        begin, before = time.perf_counter(), self.asked.total()
        await asyncio.gather(*(self._client(at, rate, until) for at in range(self._clients)))
        return (self.asked.total() - before) / (time.perf_counter() - begin)

    async def _client(self, at: int, rate: float | None, until: Callable[[], bool]) -> None:
        connection = _Connection(self._port)
        begin = time.perf_counter()
        for turn in count():
            if until():
                break
            if rate is not None:
                due = begin + (turn + at / self._clients) * self._clients / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            question = self._questions[next(self._numbers) % len(self._questions)]
            if question.fresh:
                other = _Connection(self._port)
                await self._ask(other, question)
                other.close()
            else:
                await self._ask(connection, question)
        connection.close()

    async def _ask(self, connection: "_Connection", question: Question) -> None:
        head = f"POST {question.path} HTTP/1.1\r\n{self._head}Content-Length: {len(question.body)}\r\n\r\n"
        request, start = head.encode() + question.body, time.perf_counter()
        for attempt in range(20):
            used = connection.used
            try:
                status, headers, body = await asyncio.wait_for(connection.ask(request), 30)
                break
            except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                connection.close()
                # A connection that was closed while it was idle, or whose process was killed: clients ask again.
                (self.reconnected if used else self.repeated)[self.phase] += 1
                if attempt == 19:
                    self.failed.append(f"{self.phase}: {question.kind}: {type(error).__name__}: {error}")
                    return
            except TimeoutError:
                connection.close()
                self.failed.append(f"{self.phase}: {question.kind}: no answer in 30 s")
                return
        self.slowest[self.phase] = max(self.slowest.get(self.phase, 0.0), time.perf_counter() - start)
        if b"connection: close" in headers:
            connection.close()
        self._judge(question, status, headers, body)

    def _judge(self, question: Question, status: int, headers: bytes, body: bytes) -> None:
        self.asked[question.kind, status] += 1
        stated = status != 503 or b"retry-after:" in headers
        if status not in _ALLOWED[question.kind] or not stated:
            self.failed.append(f"{self.phase}: {question.kind}: {status} {body[:200].decode()}")
        elif status == 200 and question.expected:
            answer: dict[str, Any] = json.loads(body)
            version = str(answer["model_version"])
            found = answer["outputs"][0]["data"][0] if "outputs" in answer else answer["predictions"][0]
            self.versions[version] += 1
            expected = question.expected.get(version)
            if expected is None or not math.isclose(found, expected, rel_tol=1e-12):
                self.wrong.append(f"{self.phase}: {question.kind}: {found} by version {version}, and not {expected}")


class _Connection:
    """A connection that is opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.used = False

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Return status, lower-case head and body of the answer."""
        if self._streams is None:
            self._streams, self.used = await asyncio.open_connection("127.0.0.1", self._port), False
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        self.used = True
        return int(head[9:12]), head, body

    def close(self) -> None:
        """Close it; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None
