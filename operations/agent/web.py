"""The agent's endpoint: Alertmanager's webhook and the health check."""

import hmac
import socket
import threading
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from almanac.core.errors import AgentError, AlmanacError
from almanac.core.files import parse_json
from operations.agent.agent import Agent
from operations.agent.redaction import without_secrets

_LARGEST = 1 << 20
_LOCAL = ("127.0.0.1", "::1", "localhost")


def build(agent: Agent, key_file: Path | None) -> Starlette:
    """Return the application of an agent.

    Args:
        agent: the agent.
        key_file: file with the key that a sender has to give as a bearer token; None on loopback.
    """

    async def alerts(request: Request) -> Response:
        if refused := _refusal(request, key_file):
            return refused
        try:
            payload = parse_json(await _body(request))
            count = await run_in_threadpool(agent.receive, payload)
        except (AgentError, ValueError) as error:
            return JSONResponse({"error": without_secrets(str(error))}, 400)
        # Alertmanager sends again after a 5xx: an alarm that is not in the journal must not be lost.
        except (AlmanacError, OSError) as error:
            return JSONResponse({"error": without_secrets(str(error))}, 503)
        return JSONResponse({"noted": count})

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n") if agent.healthy else PlainTextResponse("late\n", 503)

    return Starlette(routes=[Route("/alerts", alerts, methods=["POST"]), Route("/healthz", healthz)])


def serve(agent: Agent, host: str, port: int, key_file: Path | None) -> None:
    """Serve the endpoint and work until a signal ends both.

    Raises:
        AgentError: the port is taken, or others can reach the host and there is no key.
    """
    if key_file is None and host not in _LOCAL:
        raise AgentError(f"--host {host}: others can reach it, so that it needs --key-file")
    if key_file is not None:
        _key(key_file)
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AgentError(f"--port {port}: cannot listen on {host} ({error.strerror})") from None
    print(f"agent on http://{host}:{listener.getsockname()[1]}", flush=True)
    working = threading.Thread(target=agent.run)
    working.start()
    try:
        config = uvicorn.Config(build(agent, key_file), log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        agent.stop()
        working.join()


def _refusal(request: Request, key_file: Path | None) -> Response | None:
    # A page in a browser of this machine can send a form, and no JSON without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return JSONResponse({"error": "expected content-type application/json"}, 415)
    if "origin" in request.headers:
        return JSONResponse({"error": "pages of a browser are not answered"}, 403)
    if key_file is None:
        return None
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not hmac.compare_digest(given.encode(), _key(key_file).encode()):
        return JSONResponse({"error": "the key is missing or wrong"}, 401, {"www-authenticate": "Bearer"})
    return None


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise AgentError(f"the body is larger than {_LARGEST >> 20} MiB")
    return body


def _key(path: Path) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise AgentError(f"--key-file {path}: cannot be read ({error})") from None
    if len(key) < 16:
        raise AgentError(f"--key-file {path}: holds a key of {len(key)} characters; expected at least 16")
    return key
