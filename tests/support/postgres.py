"""A PostgreSQL server of a test's own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
needs_postgres = pytest.mark.skipif(
    not BINARIES and os.environ.get("CI") != "true", reason="postgresql is not installed"
)


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[int]:
    """A PostgreSQL server of the test's own on loopback; its port."""
    binaries, home = BINARIES[-1].parent, tmp_path / "postgres"
    as_user: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    home.mkdir()
    if as_user:
        shutil.chown(home, "postgres")
        for parent in tmp_path.parents:
            if parent.stat().st_uid == os.getuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        tmp_path.chmod(0o711)
    secret = home / "password"
    secret.write_text("opensesame")
    secret.chmod(0o644)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": home, **as_user}
    data = ["-D", str(home / "data")]
    make = [str(binaries / "initdb"), *data, "-U", "meter", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
    subprocess.run(make, check=True, **quiet)
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(home), "-F"]
    server = subprocess.Popen([str(binaries / "postgres"), *data, *options], **quiet)
    try:
        wait_until_open(binaries, port)
        yield port
    finally:
        server.terminate()
        server.wait()


def wait_until_open(binaries: Path, port: int) -> None:
    """Wait until a server takes connections, which it refuses while it starts up; only one that hangs fails."""
    command = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + 300
    while subprocess.run(command, check=False).returncode:
        assert time.monotonic() < deadline, f"the server at port {port} does not take connections"
        time.sleep(0.05)


def wait_for(port: int) -> None:
    """Wait until something listens on a port."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on port {port}")
