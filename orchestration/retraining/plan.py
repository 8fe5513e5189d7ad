"""Plans of retrainings as data: typed actions, bound to the state of the registry that they were made for."""

from datetime import date, datetime, timedelta
from math import ceil
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from almanac.core.errors import RemediationError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.usecase import UseCase, digest, load_text
from almanac.usecase.split_section import Rolling
from almanac.usecase.types import to_timedelta
from governance.registry import Registry

#: How long a plan may wait for its approval.
LIFETIME = timedelta(days=3)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Retrain(_Strict):
    """Train again by a split that moves with the data."""

    kind: Literal["retrain"] = "retrain"
    test: str
    """Test span, such as last 30d."""
    train: str
    """Training span, `expanding` or such as last 3y."""

    def apply(self, usecase: UseCase) -> UseCase:
        """Return the use case with this split.

        Raises:
            UseCaseError: a training span that is too short for the folds.
        """
        changed = usecase.model_dump(mode="json")
        kept = {name: changed["split"][name] for name in ("gap", "retrain")}
        changed["split"] = {"test": self.test, "train": self.train, **kept}
        return load_text(canonical_json(changed).decode(), "the retraining")


#: Fields of a feature's declaration whose text may be that of a column: a kind holiday, a group weather.
_LABELS = frozenset({"kind", "group", "name"})


class RetrainWithout(_Strict):
    """Train again by a split that moves with the data, without the features of one column."""

    kind: Literal["retrain_without"] = "retrain_without"
    column: str
    """Column whose features are left out."""
    test: str
    """Test span, such as last 30d."""
    train: str
    """Training span, `expanding` or such as last 3y."""

    def apply(self, usecase: UseCase) -> UseCase:
        """Return the use case with this split, and without the features of the column.

        Raises:
            RemediationError: the column is a target's, or no feature is left.
            UseCaseError: a training span that is too short for the folds, or a feature that needs the column.
        """
        if self.column in {target.column for target in usecase.targets}:
            raise RemediationError(
                f"{usecase.name}: {self.column} is what is forecast; its features cannot be left out"
            )
        changed = Retrain(test=self.test, train=self.train).apply(usecase).model_dump(mode="json")
        items = [kept for item in changed["features"]["items"] if (kept := _without(item, self.column)) is not None]
        if not items:
            raise RemediationError(f"{usecase.name}: without {self.column} there is no feature left")
        changed["features"]["items"] = items
        return load_text(canonical_json(changed).decode(), f"the retraining without {self.column}")


def _without(item: dict[str, Any], column: str) -> dict[str, Any] | None:
    """Return a feature's declaration without a column; None if no column remains, or the feature needs this one."""
    if column in (item.get("columns") or []):
        kept = [name for name in item["columns"] if name != column]
        return {**item, "columns": kept} if kept else None
    named = {value for field, value in item.items() if field not in _LABELS and isinstance(value, str)}
    return None if column in named else item


class DatedRetrain(_Strict):
    """The action of plans of format 1, which pinned a date; the log is never rewritten, so they stay readable."""

    kind: Literal["retrain"] = "retrain"
    test_from: date
    train_window: str | None

    def apply(self, usecase: UseCase) -> UseCase:
        """Refuse: such a plan has expired long since.

        Raises:
            RemediationError: always.
        """
        raise RemediationError(f"{usecase.name}: the plan pins {self.test_from} as its test span; propose it anew")


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

    format: Literal[1, 2] = 2
    use_case: str
    use_case_digest: str
    """Digest of the use case before the change."""
    action: Retrain | RetrainWithout | DatedRetrain
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


def retraining(usecase: UseCase) -> Retrain:
    """Return the retraining that the schedule, the workflow and the drift policy share.

    Its split is `split.retrain`, else the use case's own if that is rolling, else everything before a test span of one
    drift window; `drift.policy.retrain_window` bounds the training span of each.
    """
    split, window = usecase.split, usecase.drift.policy.retrain_window
    if (rolling := split.retrain) is None and split.test is not None:
        rolling = Rolling(test=split.test, train=split.train or "expanding")
    if rolling is None:
        # One drift window, so that the new model is tested where the old one broke.
        days = ceil(to_timedelta(usecase.drift.window) / timedelta(days=1))
        train = "expanding" if split.train_window is None else f"last {split.train_window}"
        rolling = Rolling(test=f"last {days}d", train=train)
    return Retrain(test=rolling.test, train=rolling.train if window is None else f"last {window}")


def make(
    usecase: UseCase, monitoring: dict[str, Any], registry: str, proposer: str, now: datetime, without: str = ""
) -> Plan:
    """Return the plan for a monitoring document; the same inputs give the same plan.

    Args:
        usecase: the use case.
        monitoring: monitoring.json.
        registry: address of the model registry.
        proposer: name of the person or program.
        now: the present.
        without: column whose features the retraining leaves out; "" for none.

    Raises:
        RemediationError: a document of another use case, or nothing in production.
    """
    if monitoring.get("kind") != "monitoring" or monitoring.get("use_case") != usecase.name:
        raise RemediationError(
            f"the document is of {monitoring.get('use_case')!r}; expected monitoring.json of {usecase.name}"
        )
    windows = monitoring["windows"]
    moved = retraining(usecase)
    action = RetrainWithout(column=without, test=moved.test, train=moved.train) if without else moved
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
    first, second = (case.model_dump(mode="json") for case in (before, after))
    old, new = first["split"], second["split"]
    split = [f"split.{name}: {old[name]} -> {new[name]}" for name in new if old[name] != new[name]]
    kept = second["features"]["items"]
    left = [item for item in first["features"]["items"] if item not in kept]
    return split + [f"features.items: {canonical_json(item).decode()} is left out or narrower" for item in left]
