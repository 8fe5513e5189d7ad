"""The issue that asks for the approval of a retrained version."""

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestration.retraining.outcome import Outcome, changes

_GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
#: Name under which the workflow attaches runs/ and registry/.
_ARTIFACT = "run"


def title(outcome: Outcome) -> str:
    """Return the issue's title, which names the version."""
    return f"Approve {outcome.name}, retrained on data to {outcome.metrics['split']['test_to'] or 'their end'}"


def body(outcome: Outcome, registry: str, environment: Mapping[str, str]) -> str:
    """Return the issue's text in Markdown: figures compared with production, changes, and the commands.

    Args:
        outcome: the retraining.
        registry: address of the model registry.
        environment: the variables of the workflow, such as GITHUB_RUN_ID.
    """
    return "\n".join(
        [
            *_head(outcome, environment),
            *_figures(outcome),
            *_changes(outcome),
            *_commands(outcome, registry, environment),
        ]
    )


def publish(outcome: Outcome | None, registry: str, environment: Mapping[str, str]) -> None:
    """Hand title and text to the workflow's later jobs, by the files that GitHub names; nothing outside of a workflow.

    Args:
        outcome: the retraining; None where the gate closed.
        registry: address of the model registry.
        environment: the variables of the workflow.
    """
    changed = outcome is not None and outcome.changed
    values = {"changed": "true" if changed else "false"}
    if outcome is not None and changed:
        values |= {"title": title(outcome), "body": body(outcome, registry, environment)}
    # A line of its own ends a value, so that none can set another output.
    mark = f"end-{os.urandom(8).hex()}"
    lines = "".join(f"{name}<<{mark}\n{value}\n{mark}\n" for name, value in values.items())
    for variable, text in (("GITHUB_OUTPUT", lines), ("GITHUB_STEP_SUMMARY", values.get("body", "Nothing changed.\n"))):
        if path := environment.get(variable):
            with Path(path).open("a", encoding="utf-8") as stream:
                stream.write(text)


def _head(outcome: Outcome, environment: Mapping[str, str]) -> Iterator[str]:
    model = outcome.registration["model"]
    yield f"The gate is open: {outcome.name} waits for an approval. Its model is `{model[:12]}`."
    if "GITHUB_RUN_ID" in environment:
        address = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(environment)
        yield f"Reports, cards and model are attached to {address}."
    yield ""


def _figures(outcome: Outcome) -> Iterator[str]:
    compared = [check for check in outcome.gate["rules"] if "registered" in check.get("evidence", {})]
    if compared:
        yield f"### Beside version {outcome.production}, in production, on the same rows"
        yield ""
        yield "| target | figure | version in production | new version | rows |"
        yield "|---|---|---:|---:|---:|"
        for check in compared:
            found = check["evidence"]
            figures = f"{found['registered']:.4g} | {found['observed']:.4g} | {found['rows']:,}"
            yield f"| {check['target']} | {found['metric']} | {figures} |"
        yield ""
    yield "### The gate"
    yield ""
    yield from (f"- {check['message']}" for check in outcome.gate["rules"])
    yield ""


def _changes(outcome: Outcome) -> Iterator[str]:
    yield "### What changed"
    yield ""
    if outcome.production is None:
        yield "No version is in production: everything is new."
        yield ""
    elif not outcome.before:
        yield f"The registry cannot be read from here; version {outcome.production} is not shown."
        yield ""
    before = "–" if outcome.production is None else f"version {outcome.production}"
    yield f"| | {before} | version {outcome.registration['version']} |"
    yield "|---|---|---|"
    yield from (f"| {name} | {old} | {new} |" for name, old, new in changes(outcome))
    yield ""


def _commands(outcome: Outcome, registry: str, environment: Mapping[str, str]) -> Iterator[str]:
    where, shared = registry, "://" in registry
    run = outcome.directory.as_posix()
    yield "### Commands"
    yield ""
    yield "```sh"
    if identity := environment.get("GITHUB_RUN_ID"):
        repository = environment.get("GITHUB_REPOSITORY", "")
        yield shlex.join(
            ["gh", "run", "download", identity, "--repo", repository, "--name", _ARTIFACT, "--dir", _ARTIFACT]
        )
        run = f"{_ARTIFACT}/{run}"
        where = registry if shared or Path(registry).is_absolute() else f"{_ARTIFACT}/{registry}"
    version, at = outcome.name, shlex.join(["--registry", where])
    yield f"almanac verify {shlex.quote(run)} {at} {_trust(outcome, environment)}"
    yield f"almanac registry show {version} {at}"
    yield f'almanac registry approve {version} {at} --why "read the model card"'
    yield f'almanac registry promote {version} {at} --why "monthly retrain"'
    yield f'almanac registry reject {version} {at} --why "REASON"   # instead'
    yield "```"
    fingerprint = outcome.registration["signature"]["fingerprint"]
    if fingerprint != "keyless":
        yield f"`ALMANAC.pub` is the public key that you pinned; its sha256 is `{fingerprint}`."
    if not shared:
        yield "The registry is in this run's attachment alone; give the variable `ALMANAC_REGISTRY` to keep one."


def _trust(outcome: Outcome, environment: Mapping[str, str]) -> str:
    """Return the options by which the signature is checked against a signer that is known beforehand."""
    if outcome.registration["signature"]["fingerprint"] != "keyless":
        return "--public-key ALMANAC.pub"
    subject = "{GITHUB_SERVER_URL}/{GITHUB_WORKFLOW_REF}".format_map(environment)
    return shlex.join(["--identity", subject, "--issuer", _GITHUB_ISSUER])
