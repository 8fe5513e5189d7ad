"""Commands that decide on versions: promote, demote, approve, reject, roll back."""

from typing import Annotated

import typer

from governance.commands.common import (
    Address,
    AsJson,
    By,
    Key,
    Url,
    UseCase,
    Via,
    Why,
    author,
    change,
    emit,
    example,
    open_registry,
    reason,
    registry_app,
    row_of,
    who,
)


@registry_app.command(epilog=example('almanac registry promote demand/7 --why "monthly retrain"'))
def promote(
    address: Address,
    stage: Annotated[str, typer.Argument(help="staging or production.")] = "production",
    by: By = "",
    why: Why = "",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Put a version into a stage.

    Its gate must have passed, its documents must be complete, and production may need an approval.
    """
    change(address, registry, as_json, lambda s, u, n: s.promote(u, n, stage, who=who(by), why=reason(why)))


@registry_app.command(epilog=example('almanac registry demote demand/7 --why "meter replaced"'))
def demote(address: Address, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Take a version out of its stage."""
    change(address, registry, as_json, lambda s, u, n: s.demote(u, n, who=who(by), why=reason(why)))


@registry_app.command(epilog=example('almanac registry approve demand/7 --by bob --key bob.pem --why "read the card"'))
def approve(
    address: Address,
    by: By = "",
    why: Why = "",
    key: Key = None,
    via: Via = "key",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Approve a version for production.

    An approval is of the version's present documents; who proposed a version cannot approve it. With a key, the event
    is signed; without one, the name is a typed one, which the registry's policy may not count.
    """
    person, signer = author(by, key, via)
    change(
        address,
        registry,
        as_json,
        lambda s, u, n: s.approve(u, n, who=person, why=reason(why), signer=signer),
        "approvals",
    )


@registry_app.command(epilog=example('almanac registry reject demand/7 --by bob --why "worse at night"'))
def reject(
    address: Address,
    by: By = "",
    why: Why = "",
    key: Key = None,
    via: Via = "key",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Reject a version for good."""
    person, signer = author(by, key, via)
    change(
        address,
        registry,
        as_json,
        lambda s, u, n: s.reject(u, n, who=person, why=reason(why), signer=signer),
        "rejected",
    )


@registry_app.command(epilog=example('almanac registry rollback demand --why "errors doubled"'))
def rollback(use_case: UseCase, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Restore the previous production version.

    Versions that were rejected since are passed over.
    """
    store = open_registry(registry)
    number = store.rollback(use_case, who=who(by), why=reason(why))
    events = [event for event in store.log(use_case) if (event.kind, event.version) == ("rolled_back", number)]
    skipped = events[-1].detail.get("passed_over", [])
    note = f" (passed over, as rejected: {', '.join(map(str, skipped))})" if skipped else ""
    row = {**row_of(store, use_case, number), "written": True, "passed_over": skipped}
    emit(row, [f"{row['address']}: {row['stage']}{note}"], as_json)
