"""Commands on a registry: what a list shows, labels, search, comparison, policy, checkpoints, and empty registries."""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from governance import signing
from governance.registry import Registry
from tests.support.background import in_background
from tests.support.bundles import document_files, documented_version, version_files
from tests.support.forgery import rewrite
from tests.support.shell import Shell


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.setenv("ALMANAC_ACTOR", "ann")
    return Shell(monkeypatch, capsys, tmp_path / "registry")


def scored_version(registry: Registry, folder: Path, mark: str, rmse: float, rows: int = 5, trials: int = 8) -> int:
    """Register a version with figures, parameters, data and features."""
    files = version_files(folder, mark)
    values = {"task": "regression", "rmse": rmse, "mae": rmse / 2, "coverage": {"overall": 0.9}}
    lag = {"kind": "lag", "lags": [1, 2] if mark == "a" else [1, 3]}
    documents = {
        "metrics.json": {"use_case": "demo", "targets": {"load_24h": values}},
        "tuning.json": {"seed": 7, "budget": {"trials": trials}, "targets": {"load_24h": {"chosen": "ridge"}}},
        "lineage.json": {"sources": [{"name": "meter", "rows": rows, "fetched_at": f"2024-01-0{rows}"}]},
        "model/load_24h/features.json": {"spec": {"items": [{"kind": "calendar"}, lag]}},
    }
    for name, document in documents.items():
        path = folder / mark / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        files[name] = path
    table = pl.DataFrame({"target": ["load_24h"] * rows, "time": range(rows), "y": [1.0] * rows, "p": [rmse] * rows})
    table.write_parquet(folder / mark / "predictions.parquet")
    files["predictions.parquet"] = folder / mark / "predictions.parquet"
    number = registry.register("demo", files, who="ann", why="first", approval="required")
    registry.attach_documents("demo", number, document_files(folder / mark, files), who="ann", why="documented")
    return number


class TestWhatAListShows:
    def test_stage_approval_proposer_age_and_figures(self, shell: Shell, tmp_path: Path) -> None:
        old = Registry(tmp_path / "registry", clock=lambda: datetime.now(UTC) - timedelta(days=3))
        scored_version(old, tmp_path, "a", 80.5)
        old.approve("demo", 1, who="bob", why="read it")
        old.promote("demo", 1, who="ann", why="go")
        scored_version(Registry(tmp_path / "registry"), tmp_path, "b", 79.0)
        code, out, _ = shell("registry", "list", "demo")
        head, one, two = out.splitlines()
        assert code == 0
        assert head.split() == ["VERSION", "STAGE", "APPROVAL", "PROPOSER", "AGE", "FIGURES", "ALIASES"]
        for text in ("registry:demo/1", "production", "by bob (typed)", " ann ", "3 d", "load_24h rmse 80.5 mae 40.25"):
            assert text in one
        for text in ("awaits approval", " needed ", "0 min", "coverage 0.9"):
            assert text in two

    def test_a_rejected_version_looks_rejected_everywhere(
        self, shell: Shell, registry: Registry, tmp_path: Path
    ) -> None:
        documented_version(registry, tmp_path, "a", approval="required")
        registry.approve("demo", 1, who="bob", why="read it")
        registry.set_alias("demo", 1, "champion", who="ann", why="best")
        shell("registry", "reject", "demo/1", "--by", "cat", "--why", "biased")
        (line,) = shell("registry", "list")[1].splitlines()[1:]
        assert line.split()[1:5] == ["rejected", "rejected", "by", "cat"]
        assert "status: rejected" in shell("registry", "show", "demo/1")[1].splitlines()
        (row,) = shell.json("registry", "list")
        assert (row["status"], row["rejected"], row["approvals"], row["aliases"]) == ("rejected", "cat", [], [])
        assert (
            shell("registry", "show", "demo@champion")[2] == "error: demo: there is no alias @champion; aliases: none\n"
        )

    def test_each_status_has_its_word(self, shell: Shell, registry: Registry, tmp_path: Path) -> None:
        registry.register("demo", version_files(tmp_path, "closed", False), who="ann", why="a", approval="none")
        registry.register("demo", version_files(tmp_path, "bare"), who="ann", why="b", approval="none")
        documented_version(registry, tmp_path, "ready")
        documented_version(registry, tmp_path, "waiting", approval="required")
        registry.approve("demo", documented_version(registry, tmp_path, "read"), who="bob", why="read it")
        words = ["gate closed", "undocumented", "awaits approval", "awaits approval", "approved"]
        assert [row["status"] for row in shell.json("registry", "list")] == words


class TestEmptyIsNotVerified:
    @pytest.mark.parametrize("command", [("verify",), ("list",), ("checkpoint",), ("verify", "demo"), ("list", "demo")])
    def test_a_mistyped_path(self, shell: Shell, tmp_path: Path, command: tuple[str, ...]) -> None:
        options = ("--out", str(tmp_path / "out.json")) if command == ("checkpoint",) else ()
        code, out, err = shell("registry", *command, *options)
        assert (code, out) == (1, "")
        assert "nothing was ever registered in it" in err or "nothing is registered for 'demo'" in err
        assert list(tmp_path.iterdir()) == [] or not (tmp_path / "registry").exists()

    @pytest.mark.parametrize("command", ["promote", "approve", "demote", "reject"])
    def test_no_command_makes_a_registry_of_a_mistyped_path(self, shell: Shell, tmp_path: Path, command: str) -> None:
        assert shell("registry", command, "demo/1", "--why", "so")[0] == 1
        assert shell("registry", "rollback", "demo", "--why", "so")[0] == 1
        assert not (tmp_path / "registry").exists()

    @pytest.mark.parametrize("kept", ["head", "no head"])
    def test_events_that_are_gone(self, shell: Shell, registry: Registry, tmp_path: Path, kept: str) -> None:
        documented_version(registry, tmp_path, "a")
        shutil.rmtree(tmp_path / "registry/use_cases/demo/events")
        if kept == "no head":
            (tmp_path / "registry/use_cases/demo/head.json").unlink()
        for command in (("verify",), ("list",), ("verify", "demo"), ("log", "demo"), ("show", "demo/1")):
            code, _, err = shell("registry", *command)
            assert code == 1
            assert (
                "has manifests and no events; they are gone" if kept == "no head" else "the log was truncated"
            ) in err


class TestLabels:
    @pytest.fixture(autouse=True)
    def versions(self, registry: Registry, tmp_path: Path) -> None:
        for mark in "ab":
            documented_version(registry, tmp_path, mark)

    def test_an_alias_moves(self, shell: Shell, registry: Registry) -> None:
        why = ("--why", "best in winter")
        assert shell("registry", "alias", "demo/1", "champion", *why)[:2] == (0, "registry:demo/1: @champion set\n")
        again = shell("registry", "alias", "demo/1", "champion", *why)
        assert again[:2] == (0, "registry:demo/1: already so; nothing was written\n")
        assert shell.json("registry", "alias", "demo/2", "champion", *why)["aliases"] == ["champion"]
        assert shell.json("registry", "show", "registry:demo@champion")["number"] == 2
        assert shell("registry", "alias", "demo/1", "champion", "--remove", *why)[0] == 1
        assert shell("registry", "alias", "demo@champion", "champion", "--remove", *why)[0] == 0
        assert shell("registry", "show", "demo@champion")[0] == 1
        assert [event.kind for event in registry.log("demo")][-3:] == ["aliased", "aliased", "unaliased"]

    @pytest.mark.parametrize("name", ["production", "v3", "Champion", "a/b", "a@b", ""])
    def test_names_that_an_address_cannot_hold(self, shell: Shell, name: str) -> None:
        code, _, err = shell("registry", "alias", "demo/1", name, "--why", "so")
        assert code == 1
        assert "alias is" in err

    def test_tags_and_descriptions_of_versions_and_of_the_use_case(self, shell: Shell, registry: Registry) -> None:
        why = ("--why", "handed over")
        assert shell.json("registry", "tag", "demo/1", "team=grid", *why)["tags"] == {"team": "grid"}
        assert shell.json("registry", "tag", "demo/1", "team=air=clean", *why)["tags"] == {"team": "air=clean"}
        assert shell.json("registry", "tag", "demo", "cost.centre=7", *why)["tags"] == {"cost.centre": "7"}
        assert shell.json("registry", "tag", "demo/1", "team", "--remove", *why)["tags"] == {}
        assert shell("registry", "tag", "demo/1", "team", *why)[2] == "error: tag 'team': expected KEY=VALUE\n"
        assert shell.json("registry", "describe", "demo", "Load of the grid", *why)["description"] == "Load of the grid"
        assert shell.json("registry", "describe", "demo/2", "new meters", *why)["description"] == "new meters"
        assert "description: new meters" in shell("registry", "show", "demo/2")[1].splitlines()
        assert shell("registry", "tag", "nowhere", "a=b", *why)[0] == 1
        assert registry.verify("demo").labels_of(0).tags == {"cost.centre": "7"}


def test_a_rejected_version_is_exported_by_an_option_alone(shell: Shell, registry: Registry, tmp_path: Path) -> None:
    documented_version(registry, tmp_path, "a")
    registry.reject("demo", 1, who="bob", why="biased")
    export = ("registry", "export", "demo/1", str(tmp_path / "pushed"))
    code, _, error = shell(*export)
    assert code == 1
    assert "version 1 was rejected by bob; --allow-rejected takes it all the same" in error
    assert not (tmp_path / "pushed").exists()
    assert shell(*export, "--allow-rejected")[0] == 0
    assert (tmp_path / "pushed" / "README.md").is_file()


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that is only read."""
    folder = tmp_path_factory.mktemp("compared")
    registry = Registry(folder / "registry")
    scored_version(registry, folder, "a", 80.0)
    scored_version(registry, folder, "b", 70.0, trials=16)
    scored_version(registry, folder, "c", 60.0, rows=6)
    registry.set_tag("demo", 2, "team", "air's", who="ann", why="so")
    registry.set_alias("demo", 3, "champion", who="ann", why="so")
    registry.reject("demo", 1, who="bob", why="biased")
    return folder / "registry"


class TestSearchAndComparison:
    @pytest.fixture
    def shell(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], compared: Path) -> Shell:
        monkeypatch.setenv("ALMANAC_ACTOR", "ann")
        return Shell(monkeypatch, capsys, compared)

    @pytest.mark.parametrize(
        ("condition", "numbers"),
        [
            ("metrics.load_24h.rmse < 80", [2, 3]),
            ("metrics.load_24h.rmse <= 80 and metrics.load_24h.rmse > 60", [1, 2]),
            ("metrics.load_24h.coverage.overall = 0.9", [1, 2, 3]),
            ("metrics.nowhere.rmse < 80", []),
            ("status = 'rejected'", [1]),
            ("status != rejected AND proposer = 'ann'", [2, 3]),
            ("alias = champion", [3]),
            ('tags.team = "air\'s"', [2]),
            ("tags.team LIKE 'air%'", [2]),
            ("tags.team ilike '%R\\'s'", None),
            ("tags.team ilike 'AIR%'", [2]),
            ("tags.team != 'air'", [1, 2, 3]),
            ("number >= 2", [2, 3]),
            ("rejected = bob", [1]),
            ("description like '%'", [1, 2, 3]),
        ],
    )
    def test_conditions(self, shell: Shell, condition: str, numbers: list[int] | None) -> None:
        if numbers is None:
            assert shell("registry", "search", "demo", condition)[0] == 1
        else:
            assert [row["number"] for row in shell.json("registry", "search", "demo", condition)] == numbers

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            ("", "is no condition"),
            ("rmse < 80", "there is no field 'rmse'; expected number, status"),
            ("number < many", "'many' is compared with a number"),
            ("status = 'rejected' or number = 1", "is no condition"),
            ("status = 'rejected' and", "is no condition"),
            ("status", "is no condition"),
        ],
    )
    def test_what_is_no_condition_is_named(self, shell: Shell, condition: str, message: str) -> None:
        code, _, err = shell("registry", "search", "demo", condition)
        assert code == 1
        assert message in err

    def test_versions_on_the_same_rows(self, shell: Shell) -> None:
        told = shell.json("registry", "compare", "demo/1", "demo/2")
        figures = told["figures"]["load_24h"]
        assert figures["same_rows"] is True
        assert figures["metrics"]["rmse"] == {"first": 80.0, "second": 70.0, "difference": -10.0}
        assert told["parameters"] == {"budget.trials": [8, 16]}
        assert told["data"] == {}
        only = told["features"]["load_24h"]
        assert only == {
            "only_first": [{"kind": "lag", "lags": [1, 2]}],
            "only_second": [{"kind": "lag", "lags": [1, 3]}],
        }
        lines = shell("registry", "compare", "demo/1", "demo/2")[1]
        assert "figures of load_24h (the same rows)" in lines
        assert "budget.trials: 8 -> 16" in lines

    def test_versions_on_other_rows_get_no_difference(self, shell: Shell) -> None:
        told = shell.json("registry", "compare", "demo/2", "demo@champion")
        figures = told["figures"]["load_24h"]
        assert figures["same_rows"] is False
        assert figures["metrics"]["rmse"] == {"first": 70.0, "second": 60.0, "difference": None}
        assert told["data"] == {"sources.meter.rows": [5, 6]}

    def test_two_use_cases_are_not_compared(self, shell: Shell) -> None:
        assert "expected two versions of one use case" in shell("registry", "compare", "demo/1", "other/1")[2]


class TestPolicy:
    def test_from_a_sandbox_to_two_pairs_of_eyes(self, shell: Shell, registry: Registry, tmp_path: Path) -> None:
        signing.generate_key(tmp_path / "bob.pem")
        (tmp_path / "bob.pub").write_bytes(signing.public_key(tmp_path / "bob.pem"))
        file = tmp_path / "policy.yaml"
        file.write_text("approval: required\nidentity: verified\npeople: {bob: bob.pub}\n")
        why = ("--why", "two pairs of eyes")
        set_ = shell.json("registry", "policy", "demo", "--set", str(file), "--by", "ann", *why)
        assert (set_["outcome"], set_["policy"]["approval"]) == ("set", "required")
        documented_version(registry, tmp_path, "a")
        approve = ("registry", "approve", "demo/1", "--by", "bob", "--why", "read it")
        assert "typed name" in shell(*approve)[2]
        row = shell.json(*approve, "--key", str(tmp_path / "bob.pem"))
        assert row["identities"][0]["identity"] == "key"
        assert "bob by key: approved version 1 (read it)" in shell("registry", "log", "demo")[1]
        file.write_text("approval: none\n")
        proposed = shell.json("registry", "policy", "demo", "--set", str(file), "--by", "eve", *why)
        assert (proposed["outcome"], proposed["policy"]["approval"]) == ("proposed", "required")
        digest = proposed["proposed"]["digest"]
        lines = shell("registry", "policy", "demo")[1]
        assert f"proposed by eve, digest {digest}:" in lines
        accept = ("registry", "policy", "demo", "--approve", digest[:12], "--by", "bob", *why)
        assert "typed name" in shell(*accept)[2]
        done = shell.json(*accept, "--key", str(tmp_path / "bob.pem"))
        assert (done["outcome"], done["policy"]["approval"]) == ("approved", "none")

    def test_a_workflow_says_which_run_it_was_and_who_let_it_through(
        self, shell: Shell, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reviews: Any
    ) -> None:
        signing.generate_key(tmp_path / "github.pem")
        (tmp_path / "github.pub").write_bytes(signing.public_key(tmp_path / "github.pem"))
        (tmp_path / "policy.yaml").write_text(
            "approval: required\nidentity: verified\nattesters: {github: github.pub}\n"
        )
        shell("registry", "policy", "demo", "--set", str(tmp_path / "policy.yaml"), "--why", "so")
        documented_version(registry, tmp_path, "a")
        approve = ("registry", "approve", "demo/1", "--by", "bob", "--why", "read it", "--via", "github")
        assert "--via github: needs --key" in shell(*approve)[2]
        key = ("--key", str(tmp_path / "github.pem"))
        for name in [name for name in os.environ if name.startswith("GITHUB_")]:
            monkeypatch.delenv(name)
        assert "GITHUB_REPOSITORY is not set; expected a job of a GitHub workflow" in shell(*approve, *key)[2]
        for name in ("WORKFLOW_REF", "RUN_ATTEMPT", "TOKEN"):
            monkeypatch.setenv(f"GITHUB_{name}", f"the-{name}")
        facts = {"REPOSITORY": "us/grid", "RUN_ID": "77", "ACTOR": "ann", "API_URL": reviews.url}
        for name, value in facts.items():
            monkeypatch.setenv(f"GITHUB_{name}", value)
        reviews.reviews = []
        assert "nobody approved this run" in shell(*approve, *key)[2]
        reviews.reviews = [
            {"user": {"login": "ann"}, "state": "approved"},
            {"user": {"login": "bob"}, "state": "rejected"},
        ]
        assert "--by bob: this run was approved by ann" in shell(*approve, *key)[2]
        reviews.reviews = [{"user": {"login": "Bob"}, "state": "approved"}]
        row = shell.json(*approve, *key)["identities"][0]
        assert (row["who"], row["identity"]) == ("Bob", "github")
        identity = registry.log("demo")[-1].detail["identity"]
        assert (identity["repository"], identity["run"], identity["actor"]) == ("us/grid", "77", "ann")
        assert reviews.asked[-1] == ("/repos/us/grid/actions/runs/77/approvals", "Bearer the-TOKEN")
        reviews.reviews = {"message": "Not Found"}
        assert "does not say who approved the run" in shell(*approve, *key)[2]


class Reviews(BaseHTTPRequestHandler):
    """GitHub's list of a run's reviews."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        data = json.dumps(self.server.reviews).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def reviews() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Reviews)
    server.asked, server.reviews, server.url = [], [], f"http://127.0.0.1:{server.server_port}"
    with in_background(server):
        yield server


class TestCheckpoints:
    @pytest.fixture(autouse=True)
    def keys(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        signing.generate_key(tmp_path / "auditor.pem")
        (tmp_path / "auditor.pub").write_bytes(signing.public_key(tmp_path / "auditor.pem"))

    @pytest.fixture
    def noted(self, shell: Shell, registry: Registry, tmp_path: Path) -> Path:
        registry.promote("demo", documented_version(registry, tmp_path, "a"), who="ann", why="go")
        out = tmp_path / "checkpoint.json"
        code, told, err = shell("registry", "checkpoint", "--key", str(tmp_path / "auditor.pem"), "--out", str(out))
        assert code == 0, err
        assert "demo at event 4" in told
        return out

    def verify(self, shell: Shell, noted: Path, *more: str) -> tuple[int, str, str]:
        public = str(noted.parent / "auditor.pub")
        return shell("registry", "verify", "--checkpoint", str(noted), "--public-key", public, *more)

    def test_a_log_that_went_on(self, shell: Shell, registry: Registry, noted: Path) -> None:
        registry.demote("demo", 1, who="bob", why="stop")
        code, out, err = self.verify(shell, noted)
        assert code == 0, err
        assert "demo: unchanged up to event 4 of the checkpoint" in out
        assert shell.json("registry", "verify", "--checkpoint", str(noted))[0]["checkpoint"] == 4
        assert "the key is the checkpoint's own" in shell("registry", "verify", "--checkpoint", str(noted))[1]

    def test_a_truncated_log(self, shell: Shell, noted: Path, tmp_path: Path) -> None:
        rewrite(tmp_path / "registry", "demo", lambda event: event if event.number < 4 else None)
        assert shell("registry", "verify")[0] == 0, "the chain by itself cannot show it"
        code, _, err = self.verify(shell, noted)
        assert code == 1
        assert "the log was truncated; the checkpoint of" in err
        assert "notes event 4, the chain ends at 3" in err

    def test_a_rewritten_log(self, shell: Shell, noted: Path, tmp_path: Path) -> None:
        rewrite(tmp_path / "registry", "demo", lambda event: type(event)(**{**vars(event), "why": "another reason"}))
        assert shell("registry", "verify")[0] == 0, "the chain by itself cannot show it"
        code, _, err = self.verify(shell, noted)
        assert code == 1
        assert "the log was rewritten; event 4 is another one" in err

    def test_a_use_case_that_is_gone(self, shell: Shell, registry: Registry, noted: Path, tmp_path: Path) -> None:
        registry.register("other", version_files(tmp_path, "o"), who="ann", why="first")
        shutil.rmtree(tmp_path / "registry/use_cases/demo")
        assert shell("registry", "verify")[0] == 0, "the registry by itself cannot show it"
        assert "the chain ends at 0" in self.verify(shell, noted)[2]

    @pytest.mark.parametrize("change", ["number", "digest", "when", "key", "form", "name"])
    def test_an_edited_checkpoint(self, shell: Shell, noted: Path, tmp_path: Path, change: str) -> None:
        value = json.loads(noted.read_text())
        if change == "number":
            value["heads"]["demo"]["number"] = 3
        elif change == "digest":
            value["heads"]["demo"]["digest"] = "0" * 64
        elif change == "when":
            value["when"] = "2030-01-01T00:00:00.000Z"
        elif change == "name":
            value["heads"] = {"other": value["heads"]["demo"]}
        elif change == "form":
            value["more"] = 1
        else:
            signing.generate_key(tmp_path / "eve.pem")
            value["public_key"] = signing.public_key(tmp_path / "eve.pem").decode()
        noted.write_text(json.dumps(value))
        code, _, err = shell("registry", "verify", "--checkpoint", str(noted))
        assert code == 1
        assert "edited, or not signed" in err or "not a checkpoint" in err

    def test_another_key_than_the_pinned_one(self, shell: Shell, noted: Path, tmp_path: Path) -> None:
        signing.generate_key(tmp_path / "eve.pem")
        shell("registry", "checkpoint", "--key", str(tmp_path / "eve.pem"), "--out", str(noted))
        assert shell("registry", "verify", "--checkpoint", str(noted))[0] == 0
        assert "not signed with the key" in self.verify(shell, noted)[2]
