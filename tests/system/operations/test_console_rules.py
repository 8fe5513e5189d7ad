"""The console shows what the history holds, and lets nobody do what their role, their form or the rules forbid."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from almanac.core.files import read_json, write_json
from governance import signing
from governance.registry import Policy, Registry
from operations.console.app import build
from operations.console.keys import add_key
from operations.console.rates import Rate
from operations.console.roles import ROLES
from operations.console.settings import ConsoleSettings
from operations.history import Origins
from operations.journal import Journal
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog, Draft
from tests.support.console import Client, serving
from tests.support.operations_world import World, write_world

PAGES = ("/", "/performance", "/drift?column=wind", "/versions", "/versions/demo/2", "/history", "/agent", "/data")
WHY = "read the cards"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("console"))


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    shutil.copytree(template.registry, tmp_path / "registry")
    return World(str(tmp_path / "registry"), template.runs, template.log)


@pytest.fixture
def console(world: World, tmp_path: Path) -> Iterator[Client]:
    keys = tmp_path / "keys.json"
    given = {role: add_key(keys, f"{role}-person", role) for role in ROLES}
    with serving(app(world, tmp_path), given) as client:
        yield client


def app(world: World, folder: Path, signing_key: Path | None = None) -> Starlette:
    return build(
        ConsoleSettings(
            history=f"sqlite:///{folder}/history.db",
            origins=Origins(world.registry, world.runs, world.log),
            keys=folder / "keys.json" if (folder / "keys.json").exists() else None,
            oidc=None,
            signing=signing_key,
            secure=False,
            audit=folder / "audit.jsonl",
        )
    )


def log_in(client: Client, role: str) -> str:
    """Log in and return the session's form token."""
    client.cookies.clear()
    answer = client.post("/login", data={"key": client.given[role]})
    assert answer.status_code == 200
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found
    return found[1]


def audited(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("role", ROLES)
def test_everybody_who_is_logged_in_sees_every_page(console: Client, role: str) -> None:
    log_in(console, role)
    for path in PAGES:
        answer = console.get(path)
        assert answer.status_code == 200, path
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        # The policy would keep such a script or style from working.
        assert "<style" not in answer.text
        assert not re.search(r"<script(?! src=\"/static/)| style=| on[a-z]+=", answer.text), path
        assert not re.search(r"(src|href)=\"(https?:)?//", answer.text), path


def test_a_stranger_sees_the_login_alone(console: Client) -> None:
    console.cookies.clear()
    for path in (*PAGES, "/runs/x", "/runs/x/report.html", "/versions/demo/2/files/metrics.json", "/nothing"):
        answer = console.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert console.get("/healthz").text == "ok\n"


def test_the_overview_says_what_waits(console: Client) -> None:
    log_in(console, "viewer")
    text = console.get("/").text
    assert "demo version 2" in text
    assert "plan of a retraining" in text
    assert "AlmanacDrift" in text
    assert "<dd>version 1</dd>" in text


def test_from_approval_to_rollback(console: Client, world: World, tmp_path: Path) -> None:
    token = log_in(console, "approver")
    form = {"csrf": token, "why": WHY}
    assert "demo version 2 is approved" in console.post("/versions/demo/2/approve", data=form).text
    plan = AuditLog(world.registry, "demo").entries()[0].plan
    assert "is approved" in console.post(f"/plans/demo/{plan}/approve", data=form).text
    form["csrf"] = log_in(console, "operator")
    text = console.get("/versions").text
    assert "Not possible: there is no earlier production version to roll back to." in text
    assert "/use-cases/demo/rollback" not in text
    assert "in production" in console.post("/versions/demo/2/promote", data=form).text
    assert Registry(world.registry).stages("demo") == {"production": 2}
    assert "/use-cases/demo/rollback" in console.get("/versions").text
    assert "is in production again" in console.post("/use-cases/demo/rollback", data=form).text
    assert Registry(world.registry).stages("demo") == {"production": 1}
    console.post("/use-cases/demo/stop", data=form)
    assert policy.stopped(AuditLog(world.registry, "demo").entries())
    console.post("/use-cases/demo/release", data=form)
    assert not policy.stopped(AuditLog(world.registry, "demo").entries())
    acts = [(line["act"], line["who"]) for line in audited(tmp_path) if line["outcome"] == "done"]
    assert ("approve", "approver-person") in acts
    assert ("rollback", "operator-person") in acts
    events = Registry(world.registry).log("demo")
    assert (events[-1].kind, events[-1].who, events[-1].why) == ("rolled_back", "operator-person", WHY)


def test_the_agents_actions_are_decided_on_their_page(console: Client, world: World) -> None:
    causes = [
        {
            "cause": "store",
            "title": "The store fails",
            "confidence": 0.9,
            "for": [{"text": "it is away"}],
            "against": [],
        }
    ]
    journal, key = Journal(world.registry, "demo"), "e" * 64
    asked = {
        **{"action": "rollback", "parameters": {"from": 2}, "cause": "store", "alarm": "d" * 64, "risk": "risky"},
        **{"inverse": "it is promoted again", "expires": "2999-01-01T00:00:00+00:00"},
    }
    journal.append(lambda _: Draft("diagnosed", "d" * 64, "almanac-agent", "The store fails", {"causes": causes}))
    journal.append(lambda _: Draft("proposed", key, "almanac-agent", "Put the version back", asked))
    console.room.memory.refresh()
    form = {"csrf": log_in(console, "operator"), "why": WHY}
    text = console.get("/agent").text
    assert "The store fails, confidence 90 %" in text
    assert "For: it is away" in text
    assert console.post(f"/actions/demo/{key}/approve", data=form).status_code == 403
    form["csrf"] = log_in(console, "approver")
    assert f"action {key[:12]} is approved" in console.post(f"/actions/demo/{key}/approve", data=form).text
    assert console.post(f"/actions/demo/{key}/approve", data=form).status_code == 409
    assert (journal.entries()[-1].kind, journal.entries()[-1].who) == ("approved", "approver-person")
    form["csrf"] = log_in(console, "operator")
    assert "The agent is stopped." in console.post("/use-cases/demo/stop-agent", data=form).text
    assert journal.entries()[-1].kind == "stopped"


def test_a_decision_is_signed_where_the_policy_pins_the_consoles_key(world: World, tmp_path: Path) -> None:
    private = tmp_path / "console.pem"
    signing.generate_key(private)
    registry = Registry(world.registry)
    pinned = Policy(
        approval="required", identity="verified", attesters={"console": signing.public_key(private).decode()}
    )
    assert registry.set_policy("demo", pinned, who="ann", why="identities are verified") == "proposed"
    registry.approve_policy("demo", pinned.digest, who="bob", why="so are ours")
    given = {"approver": add_key(tmp_path / "keys.json", "approver-person", "approver")}
    for key, refused in ((None, True), (private, False)):
        with serving(app(world, tmp_path, key), given) as client:
            token = log_in(client, "approver")
            answer = client.post("/versions/demo/2/approve", data={"csrf": token, "why": WHY})
            assert ("typed name" in answer.text) is refused
    (approval,) = Registry(world.registry).state("demo").versions[2].approvals
    assert (approval.who, approval.identity) == ("approver-person", "console")


def test_nobody_approves_what_they_proposed(world: World, tmp_path: Path) -> None:
    given = {"approver": add_key(tmp_path / "keys.json", "Ann", "approver")}
    with serving(app(world, tmp_path), given) as client:
        token = log_in(client, "approver")
        answer = client.post("/versions/demo/2/approve", data={"csrf": token, "why": WHY})
        assert answer.status_code == 409
        assert "somebody else has to" in answer.text
    assert not Registry(world.registry).state("demo").versions[2].approvals


def test_no_mutated_request_gets_in(console: Client, world: World) -> None:
    """Of 500 requests that lack a role, a token, a session, a reason or an id, none changes anything."""
    paths = ["/versions/demo/2/approve", "/versions/demo/2/reject", "/versions/demo/2/promote"]
    paths += ["/use-cases/demo/rollback", "/use-cases/demo/stop"]
    plan = AuditLog(world.registry, "demo").entries()[0].plan
    paths += [f"/plans/demo/{plan}/approve", f"/plans/demo/{plan}/reject"]
    tokens = {role: log_in(console, role) for role in ROLES}
    cookies = {}
    for role in ROLES:
        tokens[role] = log_in(console, role)
        cookies[role] = console.cookies["almanac_console"]
    before = len(Registry(world.registry).log("demo")), len(AuditLog(world.registry, "demo").entries())
    draw = random.Random(7)
    console.room.acts = Rate(10_000, 1.0)
    for _ in range(500):
        path, form, headers = draw.choice(paths), {"csrf": tokens["admin"], "why": WHY}, {}
        cookie = cookies["admin"]
        fault = draw.choice(["role", "token", "session", "origin", "site", "reason", "id", "act", "type", "size"])
        if fault == "role":
            cookie, form["csrf"] = cookies["viewer"], tokens["viewer"]
        elif fault == "token":
            form["csrf"] = draw.choice(["", tokens["viewer"], tokens["admin"][:-1], tokens["admin"].swapcase()])
        elif fault == "session":
            cookie = draw.choice(["", "x" * 43, cookies["admin"][:-1], cookies["admin"][::-1]])
        elif fault == "origin":
            headers["origin"] = draw.choice(["http://evil", "null", "http://127.0.0.1.evil"])
        elif fault == "site":
            headers["sec-fetch-site"] = draw.choice(["cross-site", "same-site"])
        elif fault == "reason":
            form["why"] = draw.choice(["", "  ", "x", "y" * 501])
        elif fault == "id":
            path = path.replace("demo", draw.choice(["other", "..", "demo%2f..", "DEMO"]))
        elif fault == "act":
            path = path.rpartition("/")[0] + "/" + draw.choice(["demote", "", "approve2"])
        elif fault == "type":
            headers["content-type"] = draw.choice(["text/plain", "application/json", "multipart/form-data"])
        else:
            form["padding"] = "z" * (32 << 10)
        console.cookies.clear()
        if cookie:
            headers["cookie"] = f"almanac_console={cookie}"
        answer = console.post(path, data=form, headers=headers, follow_redirects=False)
        assert answer.status_code in (303, 400, 403, 404, 405, 413, 415), (fault, path, answer.status_code)
        assert answer.headers.get("location", "/login") == "/login", (fault, path)
    after = len(Registry(world.registry).log("demo")), len(AuditLog(world.registry, "demo").entries())
    assert after == before


def test_no_address_gets_a_stranger_in(console: Client) -> None:
    console.cookies.clear()
    for host in ("x/login", "x/login?", "x/static/#", "login"):
        answer = console.get("/versions", headers={"host": host}, follow_redirects=False)
        assert (answer.status_code, answer.headers.get("location")) == (303, "/login"), host


def test_no_text_stops_the_history_or_commands_a_terminal(console: Client, world: World) -> None:
    token = log_in(console, "admin")
    for path in ("/runs/%00", "/runs/x/governance/%00", "/history/compare?run=%00&run=x"):
        assert console.get(path).status_code == 400
    answer = console.post("/use-cases/demo/stop", data={"csrf": token, "why": "nul \x00, escape \x1b[2J"})
    assert answer.status_code == 200
    assert AuditLog(world.registry, "demo").entries()[-1].why == "nul \ufffd, escape \ufffd[2J"
    answer = console.post("/versions/demo/2/approve", data={"csrf": token, "why": "nul \x00, escape \x1b[2J"})
    assert answer.status_code == 200
    assert Registry(world.registry).log("demo")[-1].why == "nul \ufffd, escape \ufffd[2J"


def test_guessing_is_slowed_and_a_right_key_of_another_client_is_not(console: Client) -> None:
    console.cookies.clear()
    answers = [console.post("/login", data={"key": f"guess {at}"}).status_code for at in range(12)]
    assert answers == 10 * [401] + 2 * [429]


def test_documents_cannot_run_scripts(console: Client, world: World) -> None:
    log_in(console, "viewer")
    answer = console.get("/versions/demo/2/files/governance/index.html")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    for name in ("../../etc/passwd", "governance/%2e%2e/metrics.json", "nothing.html"):
        assert console.get(f"/versions/demo/2/files/{name}").status_code == 404
    run = next(world.runs.rglob("run.json")).parent.name
    assert console.get(f"/runs/{run}/run.json").json()["run_id"] == run
    for name in ("../run.json", "%2e%2e/%2e%2e/keys.json", "data.parquet"):
        assert console.get(f"/runs/{run}/{name}").status_code == 404


def test_two_runs_are_compared(console: Client, world: World) -> None:
    log_in(console, "viewer")
    runs = sorted(path.parent.name for path in (world.runs / "demo").glob("*/run.json"))
    text = console.get("/history/compare", params={"run": runs[:2]}).text
    assert "load_1h" in text
    assert "-0.1" in text
    assert console.get("/history/compare", params={"run": runs[:1]}).status_code == 400


def test_a_broken_origin_is_said_over_the_old_rows(console: Client, world: World) -> None:
    log_in(console, "viewer")
    events = sorted(Path(world.registry).rglob("events/*.json"))
    events[1].write_text(events[1].read_text().replace("first model", "second model"))
    # Chains are read again once one of them has grown.
    sent = Draft("notified", "d" * 64, "almanac", "asked again", {"channel": "mail", "outcome": "sent"})
    Journal(world.registry, "demo").append(lambda _: sent)
    console.room.memory.refresh()
    text = console.get("/").text
    assert "cannot be read, so what follows may be old" in text
    assert "demo version 2" in text


def test_a_result_of_another_shape_has_no_row_on_the_page_of_the_data(console: Client, world: World) -> None:
    log_in(console, "viewer")
    newest = max((world.runs / "demo" / "monitoring").glob("*/monitoring.json"))
    whole = read_json(newest)
    for staleness in ("old", [1], {"newest": 7}):
        write_json(newest, {**whole, "staleness": staleness})
        console.room.memory.refresh()
        assert console.get("/data").status_code == 200


def test_the_overview_and_the_agent_page_show_the_last_outcome_of_each_message(console: Client, world: World) -> None:
    log_in(console, "viewer")
    pages = ("/", "/agent?use_case=demo")
    assert all("<td>sent</td>" in console.get(page).text for page in pages)
    failed = Draft("notified", "d" * 64, "almanac", "asked again", {"channel": "mail", "outcome": "failed"})
    Journal(world.registry, "demo").append(lambda _: failed)
    console.room.memory.refresh()
    for page in pages:
        text = console.get(page).text
        assert "<td>failed</td>" in text
        assert "<td>sent</td>" not in text
