"""Commands on labels: alias, tag, describe."""

from typing import Annotated

import typer

from almanac.core.errors import RegistryError
from governance.commands.common import (
    Address,
    AsJson,
    By,
    Url,
    Why,
    emit,
    example,
    open_registry,
    reason,
    registry_app,
    row_of,
    who,
)
from governance.registry import Registry, parse_address
from governance.registry.state import WHOLE

Subject = Annotated[str, typer.Argument(help="A version as above, or USE_CASE for the use case itself.")]
Remove = Annotated[bool, typer.Option("--remove", help="Remove it instead.")]


@registry_app.command(epilog=example('almanac registry alias demand/7 champion --why "best in winter"'))
def alias(
    address: Address,
    name: Annotated[str, typer.Argument(help="The alias, by which USE_CASE@ALIAS then names the version.")],
    remove: Remove = False,
    by: By = "",
    why: Why = "",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Name a version by an alias, which then no longer names another one."""
    store = open_registry(registry)
    use_case, number = _subject(store, address)
    if number == WHOLE:
        raise RegistryError(f"{address}: an alias names a version; expected USE_CASE/VERSION")
    if remove and store.registered(use_case).aliases.get(name) != number:
        raise RegistryError(f"{address}: @{name} does not name this version")
    author, cause = who(by), reason(why)
    if remove:
        written = store.remove_alias(use_case, name, who=author, why=cause)
    else:
        written = store.set_alias(use_case, number, name, who=author, why=cause)
    _tell(store, use_case, number, written, f"@{name} {'removed' if remove else 'set'}", as_json)


@registry_app.command(epilog=example('almanac registry tag demand/7 team=grid --why "handed over"'))
def tag(
    address: Subject,
    tag: Annotated[str, typer.Argument(metavar="KEY=VALUE", help="KEY alone with --remove.")],
    remove: Remove = False,
    by: By = "",
    why: Why = "",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Set a tag of a version or of a use case."""
    store = open_registry(registry)
    use_case, number = _subject(store, address)
    key, equals, value = tag.partition("=")
    if bool(equals) is remove:
        raise RegistryError(f"tag {tag!r}: expected {'KEY' if remove else 'KEY=VALUE'}")
    author, cause = who(by), reason(why)
    if remove:
        written = store.remove_tag(use_case, number, key, who=author, why=cause)
    else:
        written = store.set_tag(use_case, number, key, value, who=author, why=cause)
    _tell(store, use_case, number, written, f"{key} removed" if remove else f"{key}={value}", as_json)


@registry_app.command(epilog=example('almanac registry describe demand/7 "with the new meters" --why "for the audit"'))
def describe(
    address: Subject,
    text: Annotated[str, typer.Argument(help="The description; empty to remove it.")],
    by: By = "",
    why: Why = "",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Describe a version or a use case."""
    store = open_registry(registry)
    use_case, number = _subject(store, address)
    written = store.describe(use_case, number, text, who=who(by), why=reason(why))
    _tell(store, use_case, number, written, f"described as {text!r}", as_json)


def _subject(store: Registry, address: str) -> tuple[str, int]:
    """Return use case and version; version 0 is the use case itself."""
    if not any(mark in address for mark in "/@"):
        use_case = address.removeprefix("registry:")
        store.registered(use_case)
        return use_case, WHOLE
    use_case, selector = parse_address(address)
    return use_case, store.version(use_case, selector).number


def _tell(store: Registry, use_case: str, number: int, written: bool, what: str, as_json: bool) -> None:
    labels = store.registered(use_case).labels_of(number)
    about = {"use_case": use_case, "tags": dict(labels.tags), "description": labels.description}
    row = {**(about if number == WHOLE else row_of(store, use_case, number)), "written": written}
    name = f"registry:{use_case}" + (f"/{number}" if number else "")
    emit(row, [f"{name}: {what}" if written else f"{name}: already so; nothing was written"], as_json)
