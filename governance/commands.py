"""Commands of the registry and of verification, for `almanac registry`, `almanac verify` and `python -m governance`."""

import getpass
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.errors import RegistryError
from governance.registry import Event, Registry, Version, default_url, parse_address, resolve
from governance.registry.address import SCHEME


def _example(command: str) -> str:
    r"""Return the end of a command's help; \\b keeps its line whole."""
    return f"\b\nExample:\n  {command}"


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
registry_app = typer.Typer(
    no_args_is_help=True,
    help="Versions, stages, approvals and their log.",
    epilog=_example("almanac registry list demand"),
)

app.add_typer(registry_app, name="registry")

Url = Annotated[str, typer.Option("--registry", help="A path, s3:// or gs://; ALMANAC_REGISTRY, or registry.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Address = Annotated[str, typer.Argument(help="USE_CASE/STAGE or USE_CASE/VERSION, with or without registry:")]
By = Annotated[str, typer.Option("--by", help="Who; ALMANAC_ACTOR, or the user.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in the event.")]
UseCase = Annotated[str, typer.Argument(help="Name of the use case.")]
UseCases = Annotated[str | None, typer.Argument(help="Name of the use case; all by default.")]


@registry_app.command("list", epilog=_example("almanac registry list demand"))
def list_versions(use_case: UseCases = None, registry: Url = "", as_json: AsJson = False) -> None:
    """List versions, their stages and approvals."""
    store = _open(registry)
    states = [store.registered(name) for name in ([use_case] if use_case else store.use_cases())]
    rows = [_row(state.use_case, entry) for state in states for entry in state.versions.values()]
    lines = [
        f"{row['address']:40} {row['stage'] or '-':11} model {row['model'][:12]}  gate "
        f"{'passed' if row['gate_passed'] else 'closed'}  documents {'yes' if row['documents'] else 'no'}  "
        f"approved by {', '.join(row['approvals']) or '-'}"
        for row in rows
    ]
    _print(rows, lines or ["no versions"], as_json)


@registry_app.command(epilog=_example("almanac registry show demand/production"))
def show(address: Address, registry: Url = "", as_json: AsJson = False) -> None:
    """Show one version with its files."""
    store = _open(registry)
    use_case, selector = parse_address(address)
    entry = store.version(use_case, selector)
    value = {**_row(use_case, entry), "files": store.files(use_case, entry.number)}
    lines = [f"{key}: {_text(item)}" for key, item in value.items() if key != "files"]
    lines += [f"  {item['sha256'][:12]} {item['bytes']:>10,} {name}" for name, item in value["files"].items()]
    _print(value, lines, as_json)


@registry_app.command(epilog=_example('almanac registry promote demand/7 --why "monthly retrain"'))
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
    _change(address, registry, as_json, lambda s, u, n: s.promote(u, n, stage, who=_who(by), why=_reason(why)))


@registry_app.command(epilog=_example('almanac registry demote demand/7 --why "meter replaced"'))
def demote(address: Address, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Take a version out of its stage."""
    _change(address, registry, as_json, lambda s, u, n: s.demote(u, n, who=_who(by), why=_reason(why)))


@registry_app.command(epilog=_example('almanac registry approve demand/7 --by bob --why "read the model card"'))
def approve(address: Address, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Approve a version for production.

    An approval is of the version's present documents; who proposed a version cannot approve it.
    """
    _change(address, registry, as_json, lambda s, u, n: s.approve(u, n, who=_who(by), why=_reason(why)), "approvals")


@registry_app.command(epilog=_example('almanac registry reject demand/7 --by bob --why "worse at night"'))
def reject(address: Address, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Reject a version for good."""
    _change(address, registry, as_json, lambda s, u, n: s.reject(u, n, who=_who(by), why=_reason(why)), "rejected")


@registry_app.command(epilog=_example('almanac registry rollback demand --why "errors doubled"'))
def rollback(use_case: UseCase, by: By = "", why: Why = "", registry: Url = "", as_json: AsJson = False) -> None:
    """Restore the previous production version.

    Versions that were rejected since are passed over.
    """
    store = _open(registry)
    number = store.rollback(use_case, who=_who(by), why=_reason(why))
    events = [event for event in store.log(use_case) if (event.kind, event.version) == ("rolled_back", number)]
    skipped = events[-1].detail.get("passed_over", [])
    note = f" (passed over, as rejected: {', '.join(map(str, skipped))})" if skipped else ""
    row = {**_row(use_case, store.version(use_case, number)), "written": True, "passed_over": skipped}
    _print(row, [f"{row['address']}: {row['stage']}{note}"], as_json)


@registry_app.command("verify", epilog=_example("almanac registry verify"))
def verify_registry(use_case: UseCases = None, registry: Url = "", as_json: AsJson = False) -> None:
    """Verify every event, and every byte of every version and published copy."""
    store = _open(registry)
    states = [store.verify(name) for name in ([use_case] if use_case else store.use_cases())]
    rows = [
        {"use_case": state.use_case, "events": len(state.digests), "versions": len(state.versions), **state.stages()}
        for state in states
    ]
    lines = [f"{row['use_case']}: {row['events']} events and {row['versions']} versions verified" for row in rows]
    _print(rows, lines or ["no versions"], as_json)


@registry_app.command(epilog=_example("almanac registry log demand"))
def log(use_case: UseCase, registry: Url = "", as_json: AsJson = False) -> None:
    """Print every event with who, when and why."""
    events = _open(registry).log(use_case)
    _print([event.to_dict() for event in events], [_line(event) for event in events], as_json)


@registry_app.command(epilog=_example("almanac registry export demand/production demand-model"))
def export(
    address: Address,
    folder: Annotated[Path, typer.Argument(help="The folder to write.")],
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Write a verified version to a folder that can be pushed as a repository; the model card is its README."""
    from governance.export import export as export_version

    url = registry or default_url()
    files = export_version(f"{SCHEME}{address.removeprefix(SCHEME)}", folder, url)
    _print({"folder": str(folder), "files": files}, [f"{folder}: {len(files)} files"], as_json)


@app.command(epilog=_example("almanac verify runs/demand/latest"))
def verify(
    target: Annotated[str, typer.Argument(metavar="RUN_OR_BUNDLE", help="A directory, or registry:USE_CASE/STAGE.")],
    registry: Annotated[
        str | None, typer.Option("--registry", help="Whose event chain to check; by default that of the run.")
    ] = None,
    public_key: Annotated[Path | None, typer.Option("--public-key", help="The key that must have signed.")] = None,
    identity: Annotated[str | None, typer.Option(help="Who must have signed, for a keyless signature.")] = None,
    issuer: Annotated[str, typer.Option(help="The identity's OpenID provider.")] = "",
    data: Annotated[
        Path | None, typer.Option(help="The validated table, to predict again; by default the run's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a run, or a version of the registry.

    Renders its documents again, predicts and evaluates again with the signed model, decides the gate again, and checks
    every hash, signature and event. The first difference is named with its file and place.
    """
    from governance.signing import Identity
    from governance.verify import Request, examine
    from governance.verify.verdict import Verdict

    directory, url = _located(target, registry)
    trust = Identity(identity, issuer) if identity else public_key
    verdict = Verdict(directory, list(examine(Request(directory, url, trust, data))))
    _print(verdict.to_json(), verdict.lines(), as_json)
    verdict.check()


def _open(url: str) -> Registry:
    return Registry(url or default_url())


def _located(target: str, registry: str | None) -> tuple[Path, str | None]:
    """Return the directory to verify, and the registry to compare it with."""
    url = registry or default_url()
    if target.startswith(SCHEME):
        return resolve(target, url).parent, url
    directory = Path(target)
    if not directory.is_dir():
        raise RegistryError(f"{target}: no such directory; expected a run, a bundle or registry:USE_CASE/STAGE")
    return directory, registry


def _change(
    address: str, url: str, as_json: bool, change: Callable[[Registry, str, int], bool], field: str = "stage"
) -> None:
    """Change a version and print it; if there was nothing to change, print the field that says so."""
    store = _open(url)
    use_case, selector = parse_address(address)
    number = store.version(use_case, selector).number
    written = change(store, use_case, number)
    row = {**_row(use_case, store.version(use_case, number)), "written": written}
    status = {"approvals": "approved by ", "rejected": "rejected by ", "stage": "in "}[field] + _text(row[field])
    line = row["stage"] or "in no stage" if written else f"already {status}; nothing was written"
    _print(row, [f"{row['address']}: {line}"], as_json)


def _row(use_case: str, entry: Version) -> dict[str, Any]:
    return {"address": f"{SCHEME}{use_case}/{entry.number}", "use_case": use_case, **vars(entry)}


def _text(item: Any) -> str:
    if item is None or item == ():
        return "-"
    if isinstance(item, bool):
        return "yes" if item else "no"
    return ", ".join(item) if isinstance(item, tuple | dict) else str(item)


def _line(event: Event) -> str:
    stage = f" to {event.detail['stage']}" if event.kind == "promoted" else ""
    return f"{event.number:>4} {event.when} {event.who}: {event.kind} version {event.version}{stage} ({event.why})"


def _who(by: str) -> str:
    return by or os.environ.get("ALMANAC_ACTOR", "") or getpass.getuser()


def _reason(why: str) -> str:
    if not why.strip():
        raise RegistryError("--why: is missing; every event keeps its reason")
    return why


def _print(value: Any, lines: list[str], as_json: bool) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))
