"""Facts of a GitHub workflow's run, for events that a key of its protected environment signs."""

import os

from almanac.core.errors import RegistryError

#: Fact in the event -> variable of GitHub's runner.
_VARIABLES = {
    "repository": "GITHUB_REPOSITORY",
    "workflow": "GITHUB_WORKFLOW_REF",
    "run": "GITHUB_RUN_ID",
    "attempt": "GITHUB_RUN_ATTEMPT",
    "actor": "GITHUB_ACTOR",
}


def run_facts() -> dict[str, str]:
    """Return repository, workflow, run and actor, from the runner's variables.

    Raises:
        RegistryError: this is no job of a GitHub workflow.
    """
    missing = [name for name in _VARIABLES.values() if not os.environ.get(name)]
    if missing:
        raise RegistryError(f"--via github: {missing[0]} is not set; expected a job of a GitHub workflow")
    return {fact: os.environ[name] for fact, name in _VARIABLES.items()}
