"""The command line: what it prints, what it refuses, and its exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from governance.commands import registry_app
from governance.documents.kind import complete_files
from governance.registry import Registry
from governance.verify.checks import CHECKS
from tests.support.bundles import documented_version, version_files
from tests.support.governance_world import ROOT, World
from tests.support.shell import Shell


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return Shell(monkeypatch, capsys, tmp_path / "registry")


class TestRegistry:
    def test_from_proposal_to_rollback(self, shell: Shell, registry: Registry, tmp_path: Path) -> None:
        for mark in "ab":
            number = documented_version(registry, tmp_path, mark, approval="required")
            assert shell("registry", "approve", f"demo/{number}", "--by", "bob", "--why", "read it")[0] == 0
            row = shell.json("registry", "promote", f"demo/{number}", "--by", "ann", "--why", "go")
            assert (row["stage"], row["approvals"]) == ("production", ["bob"])
        assert shell.json("registry", "rollback", "demo", "--by", "bob", "--why", "worse")["number"] == 1
        assert [row["stage"] for row in shell.json("registry", "list")] == ["production", "archived"]
        shown = shell.json("registry", "show", "registry:demo/production")
        assert shown["number"] == 1
        assert "model/model.bst" in shown["files"]
        assert shell.json("registry", "demote", "demo/1", "--by", "bob", "--why", "stop")["stage"] == "archived"
        assert shell.json("registry", "reject", "demo/1", "--by", "bob", "--why", "biased")["rejected"] == "bob"
        events = shell.json("registry", "log", "demo")
        assert [event["kind"] for event in events][-3:] == ["rolled_back", "demoted", "rejected"]
        assert shell.json("registry", "verify")[0] == {"use_case": "demo", "events": len(events), "versions": 2}

    def test_people_read_lines(self, shell: Shell, registry: Registry, tmp_path: Path) -> None:
        number = documented_version(registry, tmp_path, "a")
        code, out, _ = shell("registry", "promote", f"demo/{number}", "--by", "ann", "--why", "go")
        assert (code, out) == (0, "registry:demo/1: production\n")
        again = shell("registry", "promote", f"demo/{number}", "--by", "ann", "--why", "go")
        assert again[:2] == (0, "registry:demo/1: already in production; nothing was written\n")
        assert shell.json("registry", "promote", f"demo/{number}", "--by", "ann", "--why", "go")["written"] is False
        assert "registry:demo/1" in shell("registry", "list", "demo")[1]
        assert "ann: promoted version 1 to production (go)" in shell("registry", "log", "demo")[1]
        assert shell("registry", "verify", "demo")[1] == "demo: 4 events and 1 versions verified\n"
        shown = shell("registry", "show", "demo/1")[1].splitlines()
        assert {"approvals: -", "rejected: -", "gate_passed: yes", "stage: production"} <= set(shown)
        assert any(line.endswith(" model/manifest.json") for line in shown)

    def test_what_stands_already_is_not_said_to_be_written(
        self, shell: Shell, registry: Registry, tmp_path: Path
    ) -> None:
        documented_version(registry, tmp_path, "a", approval="required")
        steps = (("approve", "approved by bob"), ("promote", "in production"), ("demote", "in archived"),
                 ("reject", "rejected by bob"))  # fmt: skip
        for command, stands in steps:
            arguments = ("registry", command, "demo/1", "--by", "bob", "--why", "so")
            assert shell.json(*arguments)["written"] is True
            events = len(registry.log("demo"))
            if command == "reject":
                arguments = ("registry", command, "demo/1", "--by", "eve", "--why", "so")
            assert shell.json(*arguments)["written"] is False
            assert shell(*arguments)[1] == f"registry:demo/1: already {stands}; nothing was written\n"
            assert len(registry.log("demo")) == events

    def test_a_rollback_tells_which_versions_it_passed_over(
        self, shell: Shell, registry: Registry, tmp_path: Path
    ) -> None:
        for mark in "abc":
            registry.promote("demo", documented_version(registry, tmp_path, mark), who="ann", why="go")
        shell("registry", "reject", "demo/2", "--by", "bob", "--why", "biased")
        back = ("registry", "rollback", "demo", "--by", "bob", "--why", "worse")
        assert shell(*back)[:2] == (0, "registry:demo/1: production (passed over, as rejected: 2)\n")
        assert registry.log("demo")[-1].detail["passed_over"] == [2]
        assert shell(*back)[2] == "error: demo: there is no earlier production version to roll back to\n"

    def test_approvals_are_told_by_name(self, shell: Shell, registry: Registry, tmp_path: Path) -> None:
        number = documented_version(registry, tmp_path, "a", approval="required")
        shell("registry", "approve", f"demo/{number}", "--by", "bob", "--why", "read it")
        shell("registry", "approve", f"demo/{number}", "--by", "eve", "--why", "read it too")
        assert "approvals: bob, eve" in shell("registry", "show", f"demo/{number}")[1].splitlines()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("promote", "demo/9", "--why", "go"), "there is no version 9"),
            (("promote", "demo/1", "prod", "--why", "go"), "unknown stage 'prod'"),
            (("promote", "demo/1", "--by", "ann", "--why", "go"), "has no passed gate"),
            (("promote", "demo/1"), "--why: is missing"),
            (("approve", "demo/1", "--by", "ann", "--why", "mine"), "proposed version 1 and cannot approve it"),
            (("show", "demo"), "is not a stage address"),
            (("rollback", "demo", "--why", "worse"), "no earlier production version"),
            (("log", "other"), "nothing is registered for 'other'"),
        ],
    )
    def test_refusals_exit_with_one_line(
        self, shell: Shell, registry: Registry, tmp_path: Path, arguments: tuple[str, ...], message: str
    ) -> None:
        registry.register("demo", version_files(tmp_path, "closed", False), who="ann", why="try")
        code, out, err = shell("registry", *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert message in err
        assert [event.kind for event in registry.log("demo")] == ["policy_set", "registered"]

    def test_an_edited_event_is_named(self, shell: Shell, registry: Registry, tmp_path: Path) -> None:
        documented_version(registry, tmp_path, "a")
        path = tmp_path / "registry" / "use_cases" / "demo" / "events" / "00000001.json"
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(b'"ann"', b'"eve"'))
        code, _, err = shell("registry", "verify", "demo")
        assert code == 1
        assert "events/00000001.json: the event was edited" in err


class TestVerify:
    def test_a_run_verifies_as_a_process_in_time(self, world: World) -> None:
        command = [sys.executable, "-m", "governance", "verify", str(world.run), "--registry", str(world.registry)]
        done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["verified"] is True
        assert {step["name"] for step in told["steps"]} >= {"hashes", "references", "metrics", "model signature"}
        assert told["not_checked"] == ["tables", "run signature", "predictions"]
        assert told["fault"] == ""

    def test_what_was_not_checked_is_told_beside_the_verdict(self, world: World) -> None:
        command = [sys.executable, "-m", "governance", "verify", str(world.run)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert (
            done.stdout.splitlines()[-1]
            == f"verified: {world.run} (not checked: tables, run signature, event chain, predictions)"
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "- "))]
        assert len({line.index(step) for line, step in zip(lines, CHECKS, strict=True)}) == 1, "aligned"
        assert len({len(line) for line in lines}) == 1

    def test_the_first_broken_link_is_named(self, spoilt: World) -> None:
        path = spoilt.run / "model" / "pm25_1h" / "model.bst"
        path.write_text(path.read_text().replace("1", "2", 1))
        command = [sys.executable, "-m", "governance", "verify", str(spoilt.run)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.startswith("error: model/pm25_1h/model.bst: altered")
        assert "FAILED model signature" in done.stdout
        assert "ok     document kinds" in done.stdout

    def test_a_stage_address_verifies_the_version_in_the_registry(
        self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path))
        shell = Shell(monkeypatch, capsys, world.registry)
        assert shell("verify", "registry:air_quality/production")[0] == 0
        assert shell("registry", "export", "air_quality/production", str(tmp_path / "pushed"))[0] == 0
        assert shell("verify", str(tmp_path / "pushed"))[0] == 0
        readme = (tmp_path / "pushed" / "README.md").read_text()
        assert readme == (world.run / "governance" / "model_card.md").read_text()
        assert "error: " in shell("registry", "export", "air_quality/production", str(tmp_path / "pushed"))[2]
        code, _, err = shell("verify", str(tmp_path / "nowhere"))
        assert code == 1
        assert "no such directory" in err


def test_governance_md_tells_the_commands_and_documents_that_there_are() -> None:
    text = (ROOT / "GOVERNANCE.md").read_text()
    told = set(re.findall(r"almanac registry (\w+)", text))
    assert told == {
        command.name or command.callback.__name__ for command in registry_app.registered_commands if command.callback
    }
    for name in complete_files():
        assert f"`{name}`" in text
