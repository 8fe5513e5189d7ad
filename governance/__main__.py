"""Command line: `python -m governance registry …` and `python -m governance verify RUN_OR_BUNDLE`."""

import getpass
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.errors import AlmanacError, RegistryError
from governance.registry import Event, Registry, State, Version, default_url, parse_address, resolve
from governance.registry.address import SCHEME

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
registry_app = typer.Typer(no_args_is_help=True, help="Versions, stages, approvals and their log.")
app.add_typer(registry_app, name="registry")

Url = Annotated[str, typer.Option("--registry", help="A path, s3:// or gs://; ALMANAC_REGISTRY, or registry.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Address = Annotated[str, typer.Argument(help="USE_CASE/STAGE or USE_CASE/VERSION, with or without registry:")]
By = Annotated[str, typer.Option("--by", help="Who; ALMANAC_ACTOR, or the user.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in the event.")]
UseCase = Annotated[str, typer.Argument(help="Name of the use case.")]


@registry_app.command("list")
def list_versions(
    use_case: Annotated[str | None, typer.Argument(help="Name of the use case; all when absent.")] = None,
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """List versions, their stages and approvals."""
    store = _open(registry)
    states = [_known(store, name) for name in ([use_case] if use_case else store.use_cases())]
    rows = [_row(state.use_case, entry) for state in states for entry in state.versions.values()]
    lines = [
        f"{row['address']:40} {row['stage'] or '-':11} model {row['model'][:12]}  gate "
        f"{'passed' if row['gate_passed'] else 'closed'}  documents {'yes' if row['documents'] else 'no'}  "
        f"approved by {', '.join(row['approvals']) or '-'}"
        for row in rows
    ]
    _print(rows, lines or ["no versions"], as_json)


@registry_app.command()
def show(address: Address, registry: Url = "", as_json: AsJson = False) -> None:
    """Show one version with its files."""
    store = _open(registry)
    use_case, what = parse_address(address)
    entry = store.version(use_case, what)
    value = {**_row(use_case, entry), "files": store.files(use_case, entry.number)}
    lines = [f"{key}: {_said(item)}" for key, item in value.items() if key != "files"]
    lines += [f"  {item['sha256'][:12]} {item['bytes']:>10,} {name}" for name, item in value["files"].items()]
    _print(value, lines, as_json)


@registry_app.command()
def promote(
    address: Address,
    stage: Annotated[str, typer.Argument(help="staging or production.")] = "production",
    by: By = "",
    why: Why = "",
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Put a version into a stage, if its gate, documents and approvals allow it."""
    _change(address, registry, as_json, lambda s, u, n: s.promote(u, n, stage, who=_who(by), why=_why(why)))


@registry_app.command()
def demote(address: Address, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Take a version out of its stage."""
    _change(address, registry, as_json, lambda s, u, n: s.demote(u, n, who=_who(by), why=_why(why)))


@registry_app.command()
def approve(address: Address, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Approve a version and its documents for production; its proposer cannot."""
    _change(address, registry, as_json, lambda s, u, n: s.approve(u, n, who=_who(by), why=_why(why)), "approvals")


@registry_app.command()
def reject(address: Address, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Reject a version for good."""
    _change(address, registry, as_json, lambda s, u, n: s.reject(u, n, who=_who(by), why=_why(why)), "rejected")


@registry_app.command()
def rollback(use_case: UseCase, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Put the newest earlier production version back that was not rejected."""
    store = _open(registry)
    number = store.rollback(use_case, who=_who(by), why=_why(why))
    events = [event for event in store.log(use_case) if (event.kind, event.version) == ("rolled_back", number)]
    over = events[-1].detail.get("passed_over", [])
    beside = f" (passed over, as rejected: {', '.join(map(str, over))})" if over else ""
    row = {**_row(use_case, store.version(use_case, number)), "written": True, "passed_over": over}
    _print(row, [f"{row['address']}: {row['stage']}{beside}"], as_json)


@registry_app.command("verify")
def verify_registry(
    use_case: Annotated[str | None, typer.Argument(help="Name of the use case; all when absent.")] = None,
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Read every event, and every byte of every version and published copy, again."""
    store = _open(registry)
    names = [use_case] if use_case else store.use_cases()
    states = [store.verify(name) for name in names]
    rows = [
        {"use_case": state.use_case, "events": len(state.digests), "versions": len(state.versions), **state.stages()}
        for state in states
    ]
    lines = [f"{row['use_case']}: {row['events']} events and {row['versions']} versions verified" for row in rows]
    _print(rows, lines or ["no versions"], as_json)


@registry_app.command()
def log(use_case: UseCase, registry: Url = "", as_json: AsJson = False) -> None:
    """Print every event: who, when, why."""
    events = _open(registry).log(use_case)
    _print([event.to_dict() for event in events], [_line(event) for event in events], as_json)


@app.command()
def verify(
    target: Annotated[str, typer.Argument(metavar="RUN_OR_BUNDLE", help="A directory, or registry:USE_CASE/STAGE.")],
    registry: Annotated[
        str | None, typer.Option("--registry", help="Whose event chain is checked; that of the run when absent.")
    ] = None,
    public_key: Annotated[Path | None, typer.Option("--public-key", help="The key that must have signed.")] = None,
    identity: Annotated[str | None, typer.Option(help="Who must have signed, for a keyless signature.")] = None,
    issuer: Annotated[str, typer.Option(help="The identity's OpenID provider.")] = "",
    as_json: AsJson = False,
) -> None:
    """Verify every hash, reference, metric, signature and event behind a run's documents."""
    from governance.signing import Identity
    from governance.verify import verify as verify_bundle

    directory, url = _located(target, registry)
    trust = Identity(identity, issuer) if identity else public_key
    steps = verify_bundle(directory, url, trust)
    unchecked = [step.name for step in steps if not step.count]
    value = {"verified": True, "directory": str(directory), "not_checked": unchecked}
    lines = [f"{step.name:20} {step.count:6,} {step.seconds:6.2f} s  {step.note}".rstrip() for step in steps]
    beside = f" (not checked: {', '.join(unchecked)})" if unchecked else ""
    _print({**value, "steps": [vars(step) for step in steps]}, [*lines, f"verified: {directory}{beside}"], as_json)


def _open(url: str) -> Registry:
    return Registry(url or default_url())


def _located(target: str, registry: str | None) -> tuple[Path, str | None]:
    """Return the directory to verify, and the registry to hold it against."""
    url = registry or default_url()
    if target.startswith(SCHEME):
        return resolve(target, url).parent, url
    directory = Path(target)
    if not directory.is_dir():
        raise RegistryError(f"{target}: no such directory; right would be a run, a bundle or registry:USE_CASE/STAGE")
    return directory, registry


def _change(
    address: str, url: str, as_json: bool, change: Callable[[Registry, str, int], bool], told: str = "stage"
) -> None:
    """Change a version and print it; where nothing was to be done, say so by the field that `told` names."""
    store = _open(url)
    use_case, what = parse_address(address)
    number = store.version(use_case, what).number
    written = change(store, use_case, number)
    row = {**_row(use_case, store.version(use_case, number)), "written": written}
    stands = {"approvals": "approved by ", "rejected": "rejected by ", "stage": "in "}[told] + _said(row[told])
    line = row["stage"] or "in no stage" if written else f"already {stands}; nothing was written"
    _print(row, [f"{row['address']}: {line}"], as_json)


def _known(store: Registry, use_case: str) -> State:
    state = store.state(use_case)
    if state.last is None:
        raise RegistryError(f"registry {store.store.url}: nothing is registered for {use_case!r}")
    return state


def _row(use_case: str, entry: Version) -> dict[str, Any]:
    return {"address": f"{SCHEME}{use_case}/{entry.number}", "use_case": use_case, **vars(entry)}


def _said(item: Any) -> str:
    """Return a field's value as people write it."""
    if item is None or item == ():
        return "-"
    if isinstance(item, bool):
        return "yes" if item else "no"
    return ", ".join(item) if isinstance(item, tuple) else str(item)


def _line(event: Event) -> str:
    where = f" to {event.detail['stage']}" if event.kind == "promoted" else ""
    return f"{event.number:>4} {event.when} {event.who}: {event.kind} version {event.version}{where} ({event.why})"


def _who(by: str) -> str:
    return by or os.environ.get("ALMANAC_ACTOR", "") or getpass.getuser()


def _why(why: str) -> str:
    if not why.strip():
        raise RegistryError("--why: is missing; every event keeps its reason")
    return why


def _print(value: Any, lines: list[str], as_json: bool) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))


def main() -> None:
    """Run the command line; a refusal is one line on standard error and exit code 1."""
    try:
        app()
    except (AlmanacError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
