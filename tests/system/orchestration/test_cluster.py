"""Submitting and scheduling against the Kubeflow Pipelines HTTP API on loopback."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from almanac.core.errors import ClashError, PipelineError, RefusedError
from orchestration.cluster import Cluster
from orchestration.tasks import Task
from tests.support.kubeflow_api import TOKEN, KubeflowApi

PACKAGE = "pipelineInfo:\n  name: toy\nroot: {}\nschemaVersion: 2.1.0\nsdkVersion: kfp-2.17.0\n"
TASKS = ("ingestion", "validation")


@pytest.fixture
def server() -> Iterator[KubeflowApi]:
    with KubeflowApi() as server:
        yield server


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(PACKAGE)
    return path


@pytest.fixture
def cluster(server: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    return Cluster(server.host)


def test_a_second_upload_of_the_same_file_under_the_same_name_is_none(cluster: Cluster, package: Path) -> None:
    first, second = cluster.upload(package, "v1"), cluster.upload(package, "v1")
    assert (first.created, second.created) == (True, False)
    assert first.version_id == second.version_id
    assert cluster.upload(package, "v2").created
    assert not cluster.upload(package, "v2").created


def test_another_file_under_a_taken_version_name_is_refused(cluster: Cluster, package: Path) -> None:
    cluster.upload(package, "v1")
    package.write_text(PACKAGE.replace("root: {}", "root: {dag: {}}"))
    with pytest.raises(PipelineError, match="toy: version v1 exists and is another file"):
        cluster.upload(package, "v1")


PLATFORM = """---
platforms:
  kubernetes:
    deploymentSpec: {executors: {exec-toy: {activeDeadlineSeconds: "60", secretAsEnv: [{secretName: almanac-store}]}}}
"""


@pytest.mark.parametrize("change", [('"60"', '"9999"'), ("almanac-store", "another"), (PLATFORM, "")])
def test_other_platform_settings_are_another_file(cluster: Cluster, package: Path, change: tuple[str, str]) -> None:
    package.write_text(PACKAGE + PLATFORM)
    assert cluster.upload(package, "v1").created
    assert not cluster.upload(package, "v1").created
    package.write_text((PACKAGE + PLATFORM).replace(*change))
    with pytest.raises(ClashError, match="toy: version v1 exists and is another file"):
        cluster.upload(package, "v1")


def test_a_file_that_gains_platform_settings_is_another_one(cluster: Cluster, package: Path) -> None:
    cluster.upload(package, "v1")
    package.write_text(PACKAGE + PLATFORM)
    with pytest.raises(ClashError, match="toy: version v1 exists and is another file"):
        cluster.upload(package, "v1")


def test_a_run_is_waited_for_and_each_task_told_once_a_state(
    cluster: Cluster, server: KubeflowApi, package: Path
) -> None:
    server.run_states = [
        ("RUNNING", {"root": "RUNNING", "ingestion": "RUNNING"}),
        ("RUNNING", {"ingestion": "RUNNING"}),
        ("SUCCEEDED", {"ingestion": "SUCCEEDED", "validation": "SUCCEEDED"}),
    ]
    run = cluster.run(cluster.upload(package, "v1"), "toy run", {"registry": "s3://models"}, "toys")
    reported: list[Task] = []
    seen = cluster.wait(run, TASKS, reported.append, timeout=10, interval=0.01)
    assert seen == {"ingestion", "validation"}
    assert reported == [
        Task("ingestion", "RUNNING", None),
        Task("ingestion", "SUCCEEDED", 42.0),
        Task("validation", "SUCCEEDED", 42.0),
    ]
    assert server.runs[run]["runtime_config"]["parameters"] == {"registry": "s3://models"}


def test_a_failed_run_names_its_failed_tasks(cluster: Cluster, server: KubeflowApi, package: Path) -> None:
    server.run_states = [("FAILED", {"ingestion": "SUCCEEDED", "validation": "FAILED"})]
    run = cluster.run(cluster.upload(package, "v1"), "toy run", {}, "toys")
    with pytest.raises(PipelineError, match="ended as FAILED; failed: validation"):
        cluster.wait(run, TASKS, lambda task: None, timeout=10, interval=0.01)


def test_a_failed_run_shows_the_end_of_the_log(cluster: Cluster, server: KubeflowApi, package: Path) -> None:
    server.run_states = [("FAILED", {"ingestion": "SUCCEEDED", "validation": "FAILED"})]
    attempt = f"wf-x-system-container-impl-{sum(map(ord, 'validation')) + 1}"
    # As Kubeflow's launcher and Argo's executor write them around the task's own.
    around = [
        "E1127 05:55:40.697246      15 launcher_v2.go:449] Component failed to execute successfully: exit status 1",
        "I1127 05:55:40.715863      15 launcher_v2.go:206] publish success.",
        'time=2026-11-27T05:55:41.252Z level=INFO msg="sub-process exited" argo=true error="exit status 1"',
        "Error: exit status 1",
    ]
    written = [*(f"line {n}" for n in range(30)), "almanac.core.errors.TableError: no column pm"]
    server.logs[attempt] = "\n".join([*written, *around])
    run = cluster.run(cluster.upload(package, "v1"), "toy run", {}, "toys")
    with pytest.raises(PipelineError, match="failed: validation") as caught:
        cluster.wait(run, TASKS, lambda task: None, timeout=10, interval=0.01)
    assert str(caught.value).endswith("  almanac.core.errors.TableError: no column pm")
    assert "line 28" in str(caught.value) and "line 18" not in str(caught.value)


def test_a_failed_run_without_reported_tasks_says_so(cluster: Cluster, server: KubeflowApi, package: Path) -> None:
    server.run_states = [("FAILED", {})]
    run = cluster.run(cluster.upload(package, "v1"), "toy run", {}, "toys")
    with pytest.raises(PipelineError, match="the server reports no tasks of it"):
        cluster.wait(run, TASKS, lambda task: None, timeout=10, interval=0.01)


def test_in_a_multi_user_kubeflow_a_pipeline_is_found_again_in_its_namespace(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    with KubeflowApi(multi_user=True) as server:
        with pytest.raises(PipelineError, match="serves several users; give --namespace"):
            Cluster(server.host)
        cluster = Cluster(server.host, namespace="team-a")
        first, second = cluster.upload(package, "v1"), cluster.upload(package, "v2")
        assert first.pipeline_id == second.pipeline_id
        assert Cluster(server.host, namespace="team-b").upload(package, "v1").pipeline_id != first.pipeline_id
        cluster.schedule(second, "monthly", "0 0 3 1 * *", {}, "toys")
        cluster.run(second, "toy run", {}, "toys")
        assert {one["namespace"] for one in server.experiments.values()} == {"team-a"}


def test_a_pod_without_a_token_is_told_what_gives_it_one(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    with KubeflowApi(multi_user=True) as server:
        with pytest.raises(RefusedError, match=rf"this pod has no token at {tmp_path}/token; create the PodDefault"):
            Cluster(server.host, "in-cluster", "team-a")
        (tmp_path / "token").write_text(TOKEN)
        assert Cluster(server.host, "in-cluster", "team-a").upload(package, "v1").created


def test_the_servers_own_words_are_shown(cluster: Cluster, server: KubeflowApi, package: Path) -> None:
    version = cluster.upload(package, "v1")
    server.multi_user = True
    with pytest.raises(RefusedError, match=r"Namespace is empty; give --namespace \(403\)"):
        cluster.run(version, "toy run", {}, "toys")


def test_a_run_that_does_not_end_is_given_up_on(cluster: Cluster, server: KubeflowApi, package: Path) -> None:
    server.run_states = [("RUNNING", {})]
    run = cluster.run(cluster.upload(package, "v1"), "toy run", {}, "toys")
    with pytest.raises(PipelineError, match=r"has not ended after 0\.05 s"):
        cluster.wait(run, TASKS, lambda task: None, timeout=0.05, interval=0.01)


def test_a_schedule_replaces_the_one_of_its_name(cluster: Cluster, server: KubeflowApi, package: Path) -> None:
    version = cluster.upload(package, "v1")
    other = cluster.schedule(version, "other", "0 0 3 1 * *", {}, "toys")
    first = cluster.schedule(version, "monthly", "0 0 3 1 * *", {}, "toys")
    second = cluster.schedule(version, "monthly", "0 0 4 1 * *", {}, "toys")
    assert sorted(server.recurring) == sorted([other, second])
    assert first != second
    made = server.recurring[second]
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 4 1 * *"
    assert made["no_catchup"] is True
    assert int(made["max_concurrency"]) == 1


def test_a_refused_token_is_named_and_not_shown(server: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", "a-wrong-token")
    with pytest.raises(PipelineError, match="the token was refused") as caught:
        Cluster(server.host)
    assert "a-wrong-token" not in str(caught.value)


def test_a_missing_token_is_named(server: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    with pytest.raises(PipelineError, match="KFP_TOKEN is not set"):
        Cluster(server.host)


def test_a_service_account_token_is_read_from_its_file(
    server: KubeflowApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
    assert Cluster(server.host, auth="service-account").upload(package, "v1").created


@pytest.mark.parametrize("namespace", [None, "a-team"])
def test_in_a_cluster_the_service_is_found_by_its_name_and_the_pod_s_token_sent(
    server: KubeflowApi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    package: Path,
    namespace: str | None,
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    asked = []
    resolve = socket.getaddrinfo

    def name_server(host: str, port: int, *rest: Any, **more: Any) -> Any:
        """Answer as the cluster's would, where loopback's API listens on the service's port."""
        asked.append((host, port))
        return resolve("127.0.0.1", int(server.host.rpartition(":")[2]), *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", name_server)
    cluster = Cluster(None, auth="in-cluster", namespace=namespace)
    assert cluster.upload(package, "v1").created
    assert cluster.run(cluster.upload(package, "v1"), "toy run", {}, "toys") in server.runs
    assert set(asked) == {("ml-pipeline.kubeflow.svc.cluster.local", 8888)}
    (experiment,) = server.experiments.values()
    assert experiment["namespace"] == (namespace or "")
    (tmp_path / "token").write_text("withdrawn")
    with pytest.raises(RefusedError, match=r"the token was refused \(401\)"):
        Cluster(None, auth="in-cluster")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "nothing"))
    with pytest.raises(RefusedError, match=r"the token was refused \(401\)"):
        Cluster(None, auth="in-cluster")


def test_an_unreachable_host_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(PipelineError, match="no Kubeflow Pipelines API answers there"):
            Cluster(host)
