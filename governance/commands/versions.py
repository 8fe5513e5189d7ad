"""Commands that read versions: list, show, log, search, compare."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.errors import RegistryError
from governance.commands.common import (
    Address,
    AsJson,
    Url,
    UseCase,
    UseCases,
    emit,
    example,
    open_registry,
    registry_app,
    row_of,
    table,
    text,
)
from governance.registry import Event, default_url, parse_address
from governance.registry.address import SCHEME
from governance.registry.comparison import compare as compare_versions
from governance.registry.overview import age, describe
from governance.registry.search import search as search_versions

_HEAD = ["VERSION", "STAGE", "APPROVAL", "PROPOSER", "AGE", "FIGURES", "ALIASES"]


@registry_app.command("list", epilog=example("almanac registry list demand"))
def list_versions(use_case: UseCases = None, registry: Url = "", as_json: AsJson = False) -> None:
    """List versions with stage, approval, proposer, age and key figures."""
    store = open_registry(registry)
    states = [store.registered(name) for name in ([use_case] if use_case else store.use_cases())]
    rows = [describe(store, state, entry) for state in states for entry in state.versions.values()]
    emit(rows, _table(rows) if rows else [_no_versions(store.store.url)], as_json)


@registry_app.command(epilog=example("almanac registry show demand/production"))
def show(address: Address, registry: Url = "", as_json: AsJson = False) -> None:
    """Show one version with its labels, figures and files."""
    store = open_registry(registry)
    use_case, selector = parse_address(address)
    entry = store.version(use_case, selector)
    value = {**row_of(store, use_case, entry.number), "files": store.files(use_case, entry.number)}
    lines = [f"{key}: {_shown(key, item)}" for key, item in value.items() if key not in ("files", "identities")]
    lines += [f"  {item['sha256'][:12]} {item['bytes']:>10,} {name}" for name, item in value["files"].items()]
    emit(value, lines, as_json)


@registry_app.command(epilog=example("almanac registry log demand"))
def log(use_case: UseCase, registry: Url = "", as_json: AsJson = False) -> None:
    """Print every event with who, when and why."""
    events = open_registry(registry).log(use_case)
    emit([event.to_dict() for event in events], [_line(event) for event in events], as_json)


@registry_app.command(epilog=example("almanac registry export demand/production demand-model"))
def export(
    address: Address,
    folder: Annotated[Path, typer.Argument(help="The folder to write.")],
    registry: Url = "",
    allow_rejected: Annotated[
        bool, typer.Option("--allow-rejected", help="Export a version that was rejected.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a verified version to a folder that can be pushed as a repository; the model card is its README."""
    from governance.export import export as export_version

    url = registry or default_url()
    files = export_version(f"{SCHEME}{address.removeprefix(SCHEME)}", folder, url, allow_rejected)
    emit({"folder": str(folder), "files": files}, [f"{folder}: {len(files)} files"], as_json)


@registry_app.command(
    epilog=example("almanac registry search demand \"metrics.load_24h.rmse < 80 and stage = 'production'\"")
)
def search(
    use_case: UseCase,
    condition: Annotated[str, typer.Argument(help="Comparisons joined by and, as in MLflow's filter strings.")],
    registry: Url = "",
    as_json: AsJson = False,
) -> None:
    """Find versions by stage, approval, proposer, alias, tags and figures."""
    rows = search_versions(open_registry(registry), use_case, condition)
    emit(rows, _table(rows) if rows else [f"no version of {use_case} meets {condition}"], as_json)


@registry_app.command(epilog=example("almanac registry compare demand/production demand/7"))
def compare(first: Address, second: Address, registry: Url = "", as_json: AsJson = False) -> None:
    """Compare two versions of a use case: figures, parameters, data and features."""
    (use_case, one), (other_case, other) = parse_address(first), parse_address(second)
    if use_case != other_case:
        raise RegistryError(f"{first} and {second}: expected two versions of one use case")
    result = compare_versions(open_registry(registry), use_case, one, other)
    emit(result, list(_comparison(result)), as_json)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    now = datetime.now(UTC)
    cells = [
        [
            row["address"],
            row["status"],
            _approval(row),
            row["proposer"],
            age(row["registered_at"], now),
            _figures(row["figures"]) or "-",
            " ".join(f"@{alias}" for alias in row["aliases"]) or "-",
        ]
        for row in rows
    ]
    return table([_HEAD, *cells])


def _approval(row: dict[str, Any]) -> str:
    if row["rejected"]:
        return f"rejected by {row['rejected']}"
    if given := [f"{each['who']} ({each['identity']})" for each in row["identities"] if each["counted"]]:
        return f"by {', '.join(given)}"
    return "needed" if row["approval"] == "required" else "not needed"


def _figures(figures: dict[str, dict[str, float]]) -> str:
    return "; ".join(
        f"{target} {' '.join(f'{name} {value:.4g}' for name, value in numbers.items())}"
        for target, numbers in figures.items()
    )


def _shown(key: str, item: Any) -> str:
    if key == "figures":
        return _figures(item) or "-"
    return ", ".join(f"{name}={value}" for name, value in item.items()) or "-" if key == "tags" else text(item)


def _no_versions(url: str) -> str:
    return f"registry {url}: no versions yet, only a policy"


def _line(event: Event) -> str:
    stage = f" to {event.detail['stage']}" if event.kind == "promoted" else ""
    about = f" version {event.version}" if event.version else ""
    identity = event.detail.get("identity", {}).get("kind")
    proof = f" by {identity}" if identity and identity != "typed" else ""
    return f"{event.number:>4} {event.when} {event.who}{proof}: {event.kind}{about}{stage} ({event.why})"


def _comparison(result: dict[str, Any]) -> Iterator[str]:
    yield f"{result['use_case']}: version {result['first']} and version {result['second']}"
    rows = {True: "the same rows", False: "different rows, so no differences are given", None: "unknown rows"}
    for target, part in result["figures"].items():
        yield f"figures of {target} ({rows[part['same_rows']]})"
        for name, values in part["metrics"].items():
            # Bands and slices are for programs; `--json` has them all.
            if "." not in name or name == "coverage.overall":
                difference = "" if values["difference"] is None else f"{values['difference']:>+14.5g}"
                yield f"  {name:<18}{values['first']:>14.5g}{values['second']:>14.5g}{difference}".rstrip()
    for section in ("parameters", "data"):
        yield f"{section}: {'the same' if not result[section] else ''}".rstrip(": ")
        yield from (f"  {path}: {one} -> {other}" for path, (one, other) in result[section].items())
    yield "features" if result["features"] else "features: the same"
    for target, only in result["features"].items():
        yield from (f"  {target}: only in version {result['first']}: {item}" for item in only["only_first"])
        yield from (f"  {target}: only in version {result['second']}: {item}" for item in only["only_second"])
