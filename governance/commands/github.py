"""Who approved the run of a GitHub workflow, for events that a key of its protected environment signs."""

import json
import os
import urllib.request
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.people import same_person
from almanac.core.web import send

#: Fact in the event -> variable of GitHub's runner.
_VARIABLES = {
    "repository": "GITHUB_REPOSITORY",
    "workflow": "GITHUB_WORKFLOW_REF",
    "run": "GITHUB_RUN_ID",
    "attempt": "GITHUB_RUN_ATTEMPT",
    "actor": "GITHUB_ACTOR",
}
_SECONDS = 30


def run_facts() -> dict[str, str]:
    """Return repository, workflow, run and actor, from the runner's variables.

    Raises:
        RegistryError: this is no job of a GitHub workflow.
    """
    for name in (*_VARIABLES.values(), "GITHUB_API_URL", "GITHUB_TOKEN"):
        if not os.environ.get(name):
            raise RegistryError(
                f"--via github: {name} is not set; expected a job of a GitHub workflow, with its token in GITHUB_TOKEN"
            )
    return {fact: os.environ[name] for fact, name in _VARIABLES.items()}


def reviewer(facts: dict[str, str], by: str) -> str:
    """Return who approved this run as a reviewer of its environment.

    GitHub is asked, as the run's own variables name who started it, and not who let it through.

    Args:
        facts: from `run_facts`.
        by: the reviewer that is meant, if several approved; empty if one did.

    Raises:
        RegistryError: nobody approved the run, `by` did not, or GitHub cannot be asked.
    """
    names = [str(review["user"]["login"]) for review in _reviews(facts) if review["state"] == "approved"]
    if not names:
        raise RegistryError("--via github: nobody approved this run; expected an environment with required reviewers")
    chosen = [name for name in names if not by or same_person(name, by)]
    if len(set(chosen)) != 1:
        raise RegistryError(f"--by {by or 'is missing'}: this run was approved by {', '.join(sorted(set(names)))}")
    return chosen[0]


def _reviews(facts: dict[str, str]) -> list[dict[str, Any]]:
    address = f"{os.environ['GITHUB_API_URL']}/repos/{facts['repository']}/actions/runs/{facts['run']}/approvals"
    if not address.startswith(("https://", "http://")):
        raise RegistryError(f"GITHUB_API_URL is {os.environ['GITHUB_API_URL']!r}; expected an https address")
    headers = {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"}
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the scheme is checked above
        with send(request, _SECONDS) as answer:
            reviews = json.load(answer)
        return [{"user": {"login": one["user"]["login"]}, "state": one["state"]} for one in reviews]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{address}: does not say who approved the run ({error})") from error
