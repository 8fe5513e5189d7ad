"""The worst case of the defaults stays under the memory of the manifest, beyond which the kernel ends a container."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest

from tests.containers.engine import ServerContainer, docker, inspect
from tests.support.largest_bodies import bodies, largest_messages, manifest_memory, post
from tests.support.server import free_port

AT_ONCE = 4


@pytest.fixture
def container(serving_image: str, served_model: Path) -> Iterator[tuple[ServerContainer, int]]:
    port = free_port()
    arguments = ("--auth", "off", "--grpc-port", str(port), "--audit-log", "/tmp/audit.jsonl")
    container = ServerContainer(serving_image, served_model, *arguments)
    try:
        yield container.wait(), port
    finally:
        container.stop()


def test_four_of_the_largest_at_once(container: tuple[ServerContainer, int]) -> None:
    server, port = container
    assert inspect(server.name)["HostConfig"]["Memory"] == manifest_memory()
    with (
        ThreadPoolExecutor(AT_ONCE) as clients,
        grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_send_message_length", -1)]) as channel,
    ):
        for body in bodies():
            statuses = set(clients.map(partial(post, server, body), [body.make()] * AT_ONCE))
            assert statuses <= {200, 400, 404, 405, 409, 413, 429}, (body.name, statuses)
        for name, (path, data) in largest_messages().items():
            method = channel.unary_unary(path)
            codes = set(clients.map(lambda _, m=method, data=data: m.future(data, timeout=60).code(), range(AT_ONCE)))
            assert not codes & {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL}, (name, codes)
    state = inspect(server.name)["State"]
    assert (state["Running"], state["OOMKilled"]) == (True, False)
    status = docker("exec", server.name, "cat", "/proc/1/status").splitlines()
    highest = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) << 10
    assert highest < manifest_memory()
    print(f"at most {highest >> 20} MiB of {manifest_memory() >> 20}")
    assert server.get("/healthz").status == 200
