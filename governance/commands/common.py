"""Applications, options and output that the commands share."""

import getpass
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.commands import example as example
from almanac.core.errors import RegistryError
from governance.registry import Registry, Signer, default_url, parse_address
from governance.registry.overview import describe

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
registry_app = typer.Typer(
    no_args_is_help=True,
    help="Versions, stages, approvals and their log.",
    epilog=example("almanac registry list demand"),
)

app.add_typer(registry_app, name="registry")

Url = Annotated[str, typer.Option("--registry", help="A path, s3:// or gs://; ALMANAC_REGISTRY, or registry.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Address = Annotated[str, typer.Argument(help="USE_CASE/STAGE, USE_CASE/VERSION or USE_CASE@ALIAS.")]
By = Annotated[str, typer.Option("--by", help="Who; ALMANAC_ACTOR, or the user.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in the event.")]
UseCase = Annotated[str, typer.Argument(help="Name of the use case.")]
UseCases = Annotated[str | None, typer.Argument(help="Name of the use case; all by default.")]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="PEM", help="Private key that signs the event; the policy pins it.")
]
Via = Annotated[
    str, typer.Option("--via", help="key for a person's own key; github for that of an environment with reviewers.")
]


def open_registry(url: str) -> Registry:
    """Return the registry of an option."""
    return Registry(url or default_url())


def author(by: str, key: Path | None, via: str) -> tuple[str, Signer | None]:
    """Return who acts and the signer of the event, which is None for a typed name.

    Raises:
        RegistryError: a service without its key, or one that names somebody else.
    """
    if via not in ("key", "github"):
        raise RegistryError(f"--via {via}: expected key or github")
    if via == "key":
        return who(by), Signer(via, key) if key else None
    if key is None:
        raise RegistryError("--via github: needs --key, the private key of the environment")
    from governance.commands.github import reviewer, run_facts

    facts = run_facts()
    return reviewer(facts, by), Signer(via, key, facts)


def change(
    address: str, url: str, as_json: bool, act: Callable[[Registry, str, int], bool], field: str = "stage"
) -> None:
    """Change a version and print it; if there was nothing to change, print the field that says so."""
    store = open_registry(url)
    use_case, selector = parse_address(address)
    number = store.version(use_case, selector).number
    written = act(store, use_case, number)
    row = {**row_of(store, use_case, number), "written": written}
    status = {"approvals": "approved by ", "rejected": "rejected by ", "stage": "in "}.get(field, "") + text(row[field])
    line = row["stage"] or row["status"] if written else f"already {status}; nothing was written"
    emit(row, [f"{row['address']}: {line}"], as_json)


def row_of(registry: Registry, use_case: str, number: int) -> dict[str, Any]:
    """Return the description of a version."""
    state = registry.registered(use_case)
    return describe(registry, state, state.version(number))


def text(item: Any) -> str:
    """Return a value as people read it."""
    if item is None or item in ((), [], {}, ""):
        return "-"
    if isinstance(item, bool):
        return "yes" if item else "no"
    return ", ".join(item) if isinstance(item, tuple | list | dict) else str(item)


def who(by: str) -> str:
    """Return who acts."""
    return by or os.environ.get("ALMANAC_ACTOR", "") or getpass.getuser()


def reason(why: str) -> str:
    """Return the reason.

    Raises:
        RegistryError: none is given.
    """
    if not why.strip():
        raise RegistryError("--why: is missing; every event keeps its reason")
    return why


def emit(value: Any, lines: list[str], as_json: bool) -> None:
    """Print a value as JSON, or its lines for people."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))


def table(rows: list[list[str]]) -> list[str]:
    """Return rows as lines of aligned columns; the first row is the head."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
