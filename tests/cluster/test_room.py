"""The operations room on a real cluster, as the documentation sets it up: its pods start, and a person is let in."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from almanac.core.image import OPERATIONS_IMAGE
from tests.cluster.conftest import join
from tests.cluster.kubectl import ROOT, almanac, command, get, kubectl, make, wait_for
from tests.support.object_store import upload, use_endpoint
from tests.support.operations_world import publish_monitoring

pytestmark = pytest.mark.slow
NAMESPACE, REGISTRY = "almanac", "s3://models"
HERE = ("-n", NAMESPACE)
#: Volumes by the claim that they are made for, and the user who writes there.
VOLUMES = {"almanac-console": 65532, "data-almanac-postgres-0": 70}
#: A PostgreSQL with the variables, user and paths of the public image, which a machine without a registry cannot pull.
POSTGRES = "almanac.local/postgres:1"
DOCKERFILE = """\
FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null \\
 && groupadd -g 70 database && useradd -u 70 -g 70 -M database && ln -s /usr/lib/postgresql/*/bin /programs
ENV PATH=/programs:$PATH
COPY start /start
ENTRYPOINT ["sh", "-e", "/start"]
"""
START = """\
if ! test -s "$PGDATA/PG_VERSION"; then
  initdb --pgdata "$PGDATA" -U "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" -A scram-sha-256 >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -k /var/run/postgresql
"""


@pytest.fixture
def postgres(node: str, tmp_path: Path) -> Iterator[str]:
    """The images of the room on the node; yields the name of PostgreSQL's."""
    starter = os.environ.get("ALMANAC_CLUSTER")
    if starter is None or command("docker", "image", "inspect", OPERATIONS_IMAGE).returncode != 0:
        pytest.skip(f"no Docker engine has {OPERATIONS_IMAGE}, or none brings it to the node")
    build = tmp_path / "postgres"
    build.mkdir()
    (build / "Dockerfile").write_text(DOCKERFILE)
    (build / "start").write_text(START)
    made = command("docker", "build", "-q", "--network", "host", "-t", POSTGRES, str(build), DOCKER_BUILDKIT="0")
    assert made.returncode == 0, made.stderr
    join(starter, OPERATIONS_IMAGE, POSTGRES)
    yield POSTGRES
    command("docker", "image", "rm", POSTGRES)


@pytest.fixture
def person(postgres: str, store: str, versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The room's namespace with what the documentation asks for; yields the key of a person."""
    use_endpoint(monkeypatch, store)
    upload(versions, REGISTRY)
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=90s")
    try:
        done = make("cluster-setup", NAMESPACE=NAMESPACE, REGISTRY=REGISTRY)
        assert done.returncode == 0, done.stdout + done.stderr
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        _secret("almanac-store", access_key="testing", secret_key="testing", endpoint=store)
        made = almanac("console", "key", "ann", "--role", "admin", "--keys", str(tmp_path / "keys.json"))
        assert made.returncode == 0, made.stderr
        (tmp_path / "agent_key").write_text("a-key-of-the-sender\n")
        files = [f"--from-file={tmp_path / name}" for name in ("keys.json", "agent_key")]
        kubectl("create", "secret", "generic", "almanac-room", *HERE, *files, "--from-literal=postgres=opensesame")
        for claim, user in VOLUMES.items():
            kubectl("apply", "-f", "-", text=json.dumps(_volume(claim, user, tmp_path / claim)))
        yield made.stdout.split()[-1]
    finally:
        command("kubectl", "delete", "namespace", NAMESPACE, "--timeout=90s")
        command("kubectl", "delete", "persistentvolume", *VOLUMES, "--wait=false")


def _secret(name: str, **values: str) -> None:
    literals = [f"--from-literal={key}={value}" for key, value in values.items()]
    kubectl("create", "secret", "generic", name, *HERE, *literals)


def _volume(claim: str, user: int, directory: Path) -> dict[str, object]:
    directory.mkdir()
    # A directory of the node keeps its owner, where a disk would get the group of the pod.
    os.chown(directory, user, user)
    spec = {
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {"namespace": NAMESPACE, "name": claim},
        "hostPath": {"path": str(directory)},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": claim}, "spec": spec}


def _ready(workload: str) -> None:
    done = command("kubectl", "rollout", "status", workload, *HERE, "--timeout=180s")
    if done.returncode:
        told = [command("kubectl", *words, *HERE).stdout for words in (("describe", "pods"), ("logs", workload))]
        raise AssertionError("\n".join([workload, done.stderr, *told]))


@contextmanager
def _forwarded(service: str) -> Iterator[httpx.Client]:
    """Yield a client of a Service through a forwarded port."""
    words = ["kubectl", "port-forward", f"service/{service}", ":80", *HERE, "--address", "127.0.0.1"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ", line := process.stdout.readline())
        assert found, line
        with httpx.Client(base_url=f"http://127.0.0.1:{found[1]}", timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.communicate()


def test_the_room_starts_and_lets_a_person_in(person: str, postgres: str) -> None:
    run = publish_monitoring(REGISTRY, 2, "air_quality").rpartition("/")[2]
    objects = kubectl("kustomize", "deploy/room")
    kubectl("apply", "-f", "-", text=re.sub(r"image: postgres:\S+", f"image: {postgres}", objects))
    _ready("statefulset/almanac-postgres")
    # This cluster has no name service, which would know the address of the headless service.
    address = get("pod", "almanac-postgres-0", *HERE)["status"]["podIP"]
    names = {"hostAliases": [{"ip": address, "hostnames": ["almanac-postgres"]}]}
    patch = json.dumps({"spec": {"template": {"spec": names}}})
    kubectl("patch", "deployment", "almanac-console", *HERE, "-p", patch)
    _ready("deployment/almanac-console")
    _ready("deployment/almanac-agent")
    users = {"statefulset/almanac-postgres": "70"}
    users |= dict.fromkeys(("deployment/almanac-console", "deployment/almanac-agent"), "65532")
    for workload, user in users.items():
        assert kubectl("exec", workload, *HERE, "--", "id", "-u") == user
        written = command("kubectl", "exec", workload, *HERE, "--", "touch", "/written")
        assert "Read-only file system" in written.stderr

    with _forwarded("almanac-agent") as agent:
        assert agent.post("/alerts", json={"alerts": []}).status_code == 401
        sender = {"authorization": "Bearer a-key-of-the-sender"}
        assert agent.post("/alerts", json={"alerts": []}, headers=sender).status_code == 200
    with _forwarded("almanac-console") as console:
        assert console.get("/history").headers["location"] == "/login"
        entered = console.post("/login", data={"key": person})
        assert entered.status_code == 303, entered.text
        # The cookie is for TLS alone, which an ingress ends.
        session = {"cookie": entered.headers["set-cookie"].partition(";")[0]}
        assert "air_quality" in console.get("/", headers=session).text
        assert f"/runs/{run}" in console.get("/history", headers=session).text
        alarm = "MonitoringBreach"
        wait_for(f"the alarm {alarm}", lambda: alarm in console.get("/agent", headers=session).text, 120)
