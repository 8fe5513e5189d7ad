"""Plans of retrainings as data: typed actions, bound to the state of the registry that they were made for."""

from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from almanac.core.errors import RemediationError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.usecase import UseCase, digest, dump, load_text
from almanac.usecase.types import to_timedelta
from governance.registry import Registry

#: How long a plan may wait for its approval.
LIFETIME = timedelta(days=3)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Retrain(_Strict):
    """Train again on a span that slides up to the newest drift window, which becomes the test span."""

    kind: Literal["retrain"] = "retrain"
    test_from: date
    """First day of the test span."""
    train_window: str | None
    """Length of the training span; everything before the test span when absent."""

    def apply(self, usecase: UseCase) -> UseCase:
        """Return the use case with this split.

        Raises:
            RemediationError: a training span that is too short for the folds.
        """
        self.check_folds(usecase)
        split: dict[str, Any] = {"test_from": self.test_from, "test_to": None}
        if self.train_window is not None:
            split |= {"train_window": self.train_window, "train_from": None}
        changed = usecase.model_copy(update={"split": usecase.split.model_copy(update=split)})
        return load_text(dump(changed), "the retraining")

    def check_folds(self, usecase: UseCase) -> None:
        """Refuse a training span that is too short for the folds."""
        folds = usecase.training.folds
        needed = folds.count * to_timedelta(folds.length)
        if self.train_window is not None and to_timedelta(self.train_window) <= needed:
            raise RemediationError(
                f"drift.policy.retrain_window: {self.train_window} leaves nothing to learn from before "
                f"{folds.count} folds of {folds.length}; it must be longer than {needed.days}d"
            )


class Observed(_Strict):
    """The state that a plan was made for; it is not executed in any other."""

    production: int
    """Version in production."""
    manifest: str
    """sha256 of that version's manifest."""
    registry: str
    """Digest of the registry's newest event of the use case."""


class Plan(_Strict):
    """A plan of a retraining; an approval is for its digest."""

    format: Literal[1] = 1
    use_case: str
    use_case_digest: str
    """Digest of the use case before the change."""
    action: Retrain
    difference: list[str]
    """Changes that the action would make, field by field."""
    observed: Observed
    reasons: list[str]
    """Reasons, window by window."""
    monitoring: str
    """sha256 of the monitoring document."""
    proposer: str
    created: datetime
    expires: datetime

    @property
    def digest(self) -> str:
        """The sha256 of the plan's fields."""
        return sha256_bytes(canonical_json(self.model_dump(mode="json")))


def make(usecase: UseCase, monitoring: dict[str, Any], registry: str, proposer: str, now: datetime) -> Plan:
    """Return the plan for a monitoring document; the same inputs give the same plan.

    Raises:
        RemediationError: a document of another use case, or nothing in production.
    """
    if monitoring.get("kind") != "monitoring" or monitoring.get("use_case") != usecase.name:
        raise RemediationError(
            f"the document is of {monitoring.get('use_case')!r}; expected monitoring.json of {usecase.name}"
        )
    windows = monitoring["windows"]
    stop = datetime.fromisoformat(windows[-1]["stop"])
    # The newest window was not trained on, so that the new model is tested where the old one broke.
    first = (stop - to_timedelta(usecase.drift.window)).date()
    action = Retrain(test_from=first, train_window=usecase.drift.policy.retrain_window or usecase.split.train_window)
    return Plan(
        use_case=usecase.name,
        use_case_digest=digest(usecase),
        action=action,
        difference=_difference(usecase, action.apply(usecase)),
        observed=observe(usecase, registry),
        reasons=[f"{w['start'][:10]} to {w['stop'][:10]}: {reason}" for w in windows for reason in w["reasons"]],
        monitoring=sha256_bytes(canonical_json(monitoring)),
        proposer=proposer,
        created=now,
        expires=now + LIFETIME,
    )


def observe(usecase: UseCase, registry: str) -> Observed:
    """Return the present state of a use case.

    Raises:
        RemediationError: no version is in production.
    """
    store = Registry(registry)
    version, last = store.current(usecase.name), store.state(usecase.name).last
    if version is None or last is None:
        raise RemediationError(
            f"{usecase.name}: no version is in production in the registry {registry}; promote one first"
        )
    return Observed(production=version.number, manifest=version.manifest, registry=last.digest)


def _difference(before: UseCase, after: UseCase) -> list[str]:
    old, new = (case.model_dump(mode="json")["split"] for case in (before, after))
    return [f"split.{name}: {old[name]} -> {new[name]}" for name in new if old[name] != new[name]]
