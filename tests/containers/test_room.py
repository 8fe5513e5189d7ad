"""The operations room in its image: read-only, as nobody."""

import json
import time
from pathlib import Path

import httpx

from operations.console.keys import add_key
from tests.containers.engine import docker, inspect
from tests.support.operations_world import World, write_world
from tests.support.server import free_port

RUN = ("--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--memory", "1g")


def make_readable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))


def write_room(folder: Path) -> World:
    world = write_world(folder / "world")
    make_readable(folder)
    return world


def test_the_console_answers_and_lets_a_person_in(operations_image: str, tmp_path: Path) -> None:
    world, port = write_room(tmp_path), free_port()
    key = add_key(tmp_path / "keys.json", "ann", "viewer")
    make_readable(tmp_path)
    name = docker(
        "run", "--detach", *RUN, "--volume", f"{tmp_path}:{tmp_path}:ro", operations_image,
        "console", "--host", "127.0.0.1", "--port", str(port), "--keys", f"{tmp_path}/keys.json",
        "--registry", world.registry, "--runs", str(world.runs), "--history", "sqlite:////tmp/history.db",
        "--audit", "/tmp/audit.jsonl",
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
            while True:
                assert inspect(name)["State"]["Running"], docker("logs", name)
                assert time.monotonic() < deadline, "the console did not answer"
                try:
                    assert client.get("/healthz").status_code == 200
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            page = client.post("/login", data={"key": key})
            assert page.status_code == 200
            assert "demo version 2" in page.text
    finally:
        docker("rm", "--force", name)


def test_reports_are_written_as_pdf(operations_image: str, tmp_path: Path) -> None:
    world = write_room(tmp_path)
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    docker(
        "run", "--rm", *RUN, "--volume", f"{tmp_path}:{tmp_path}:ro", "--volume", f"{out}:/out", operations_image,
        "report", "monthly", "demo", "--period", "2026-01", "--registry", world.registry, "--runs", str(world.runs),
        "--history", "sqlite:////tmp/history.db", "--pdf", "/out/report.pdf",
    )  # fmt: skip
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_the_agent_looks_and_names_what_it_would_do(operations_image: str, tmp_path: Path) -> None:
    world = write_room(tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text("use_cases: {demo: {}}\ncauses: {}\n")
    make_readable(tmp_path)
    registry = Path(world.registry)
    for path in [registry, *registry.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o444))
    docker(
        "run", "--rm", *RUN, "--volume", f"{tmp_path}:{tmp_path}", operations_image,
        "agent", "--policy", str(policy), "--once", "--registry", world.registry, "--runs", str(world.runs),
        "--state", "/tmp/agent",
    )  # fmt: skip
    listed = docker(
        "run", "--rm", *RUN, "--volume", f"{tmp_path}:{tmp_path}:ro", operations_image,
        "agent", "actions", "demo", "--registry", world.registry, "--json",
    )  # fmt: skip
    assert isinstance(json.loads(listed), list)
