"""A step reads its part of a use case, and an edit elsewhere does not change its key."""

import json
from typing import Any

import pytest

from almanac.usecase import UseCase, digest, dump, load, load_text
from almanac.usecase.views import reads, trained_digest
from tests.support.governance_world import ROOT

#: The steps of a training run before its documents, in order.
STEPS = ("ingestion", "validation", "preprocessing", "training", "evaluation", "gate", "drift")


@pytest.fixture(scope="module")
def case() -> UseCase:
    return load(ROOT / "usecases" / "air_quality.yaml")


def edited(case: UseCase, path: str, value: Any) -> UseCase:
    content = json.loads(dump(case))
    *parents, last = path.split(".")
    at = content
    for part in parents:
        at = at[int(part)] if part.isdigit() else at[part]
    at[last] = value
    return load_text(json.dumps(content), "edited")


@pytest.mark.parametrize(
    ("path", "value", "again"),
    [
        ("governance.statements.caveats.text", "Another text that says more.", ()),
        ("governance.owner", "Another team", ()),
        ("schedule.retrain", "0 0 4 1 * *", ()),
        ("serving.max_replicas", 7, ()),
        ("sources.0.licence", "CC BY 4.0, with a notice", ("ingestion", "evaluation")),
        ("title", "Another title", ("validation", "evaluation", "drift")),
        ("gates.0.metric", "mae", ("gate",)),
        ("evaluation.repeats", 700, ("evaluation", "gate")),
        ("validation.min_rows", 5, ("validation",)),
        ("drift.policy.breaches", 3, ("drift",)),
        ("training.budget.trials", 1, ("preprocessing", "training", "evaluation", "gate", "drift")),
        ("columns.pm25.max", 2000.0, STEPS),
    ],
)
def test_an_edit_repeats_the_steps_that_read_it(case: UseCase, path: str, value: Any, again: tuple[str, ...]) -> None:
    other = edited(case, path, value)
    changed = [step for step in STEPS if digest(reads(case, step)) != digest(reads(other, step))]
    assert sorted(changed) == sorted(again)
    assert (trained_digest(case) != trained_digest(other)) == ("training" in again)


@pytest.mark.parametrize("step", STEPS)
def test_the_part_of_a_part_is_itself(case: UseCase, step: str) -> None:
    part = reads(case, step)
    assert reads(part, step) == part


def test_documents_and_deployment_read_everything(case: UseCase) -> None:
    assert all(reads(case, step) is case for step in ("registration", "documentation", "deployment"))
