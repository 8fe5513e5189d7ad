"""Servers to compare with: kserve's own over `Booster.predict`, MLServer, a raw ASGI application, an empty uvicorn.

python -m benchmarks.serving_peers {stock,raw,empty,mlserver} --model DIR --name NAME --port N [--python PYTHON]
"""

import argparse
import asyncio
import json
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np

Message = MutableMapping[str, Any]
Asgi = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def stock(model: Path, name: str, port: int) -> None:
    """Serve by kserve's ModelServer with a model that calls `Booster.predict`, as its LightGBM runtime does.

    Its logging is off, all of it: latencies, accesses and events.
    """
    # kserve reads its own options from the command line when it is imported.
    sys.argv = ["stock", "--http_port", str(port), "--enable_grpc", "false", "--workers", "1"]
    import kserve
    import lightgbm
    from kserve.utils.utils import get_predict_input, get_predict_response

    class Stock(kserve.Model):  # type: ignore[misc]
        def load(self) -> bool:
            self.booster = lightgbm.Booster(params={"num_threads": 1}, model_file=str(model / "model.bst"))
            self.ready = True
            return True

        def predict(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
            rows = get_predict_input(payload, columns=self.booster.feature_name())
            return get_predict_response(payload, self.booster.predict(rows, num_threads=1), self.name)

    served = Stock(name)
    served.load()
    server = kserve.ModelServer(http_port=port, enable_grpc=False, workers=1, enable_latency_logging=False)
    logging.disable(logging.CRITICAL)
    server.start([served])


def raw(model: Path, name: str, port: int) -> None:
    """Serve by a raw ASGI application: orjson, values by name, LightGBM's cached single-row call."""
    import orjson

    from almanac.model.engine import Engine

    names = json.loads((model / "features.json").read_bytes())["names"]
    engine = Engine.load(model / "model.bst", None, names, compiled=False)

    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        rows = orjson.loads(await _whole(receive))["instances"]
        if len(rows) == 1:
            row = rows[0]
            predictions = [engine.predict_row(np.array([row[name] for name in names], dtype=np.float64))]
        else:
            X = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
            predictions = engine.predict(X).tolist()
        await _answer(send, orjson.dumps({"predictions": predictions}))

    _serve(app, port)


def empty(model: Path, name: str, port: int) -> None:
    """Answer an empty object: the cost of uvicorn."""

    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        await _answer(send, b"{}")

    _serve(app, port)


async def _whole(receive: Callable[[], Awaitable[Message]]) -> bytes:
    message = await receive()
    parts = [message["body"]]
    while message["more_body"]:
        message = await receive()
        parts.append(message["body"])
    return b"".join(parts)


async def _answer(send: Callable[[Message], Awaitable[None]], body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _serve(app: Asgi, port: int) -> None:
    import uvicorn
    import uvloop

    sock = socket.create_server(("127.0.0.1", port), backlog=2048)
    config = uvicorn.Config(app, http="httptools", loop="none", lifespan="off", access_log=False, log_level="warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[sock]))


def mlserver(model: Path, name: str, port: int, python: str) -> None:
    """Serve by MLServer's LightGBM runtime in this process, without its pool of workers, as one process of ours is."""
    folder = Path(tempfile.mkdtemp(prefix="almanac-mlserver-"))
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "parallel_workers": 0,
        "debug": False,
    }  # fmt: skip
    served = {
        "name": name,
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": str((model / "model.bst").resolve())},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(served))
    program = str(Path(python).with_name("mlserver"))
    os.execv(program, [program, "start", str(folder)])


SERVERS = {"stock": stock, "raw": raw, "empty": empty}


def main() -> None:
    """Run one server until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=[*sorted(SERVERS), "mlserver"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--python", default=sys.executable, help="a Python that has MLServer")
    given = parser.parse_args()
    if given.server == "mlserver":
        mlserver(given.model, given.name, given.port, given.python)
    SERVERS[given.server](given.model, given.name, given.port)


if __name__ == "__main__":
    main()
