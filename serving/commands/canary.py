"""`canary`: start, look at, move and end the canary of a running server."""

from typing import Annotated, Any

import typer
from typer import Argument, Option

from almanac.core.commands import example
from serving.commands.client import ask

canary = typer.Typer(no_args_is_help=True, help="Canary of a running server.", rich_markup_mode=None)

Url = Annotated[str, Option(help="Address of the server; its key is read from ALMANAC_API_KEY.")]
Name = Annotated[str, Option("--model-name", help="Use case, or one of its models.")]


@canary.command(epilog=example("almanac canary start 3 --url http://127.0.0.1:8080 --model-name demand --percent 5"))
def start(
    version: Annotated[str, Argument(help="Version in the registry.")],
    url: Url,
    model_name: Name,
    percent: Annotated[float, Option(help="Share of the requests.")] = 5.0,
) -> None:
    """Give a version a share of the requests."""
    _show(_ask(url, model_name, {"version": version, "percent": percent}))


@canary.command(epilog=example("almanac canary status --url http://127.0.0.1:8080 --model-name demand"))
def status(url: Url, model_name: Name) -> None:
    """Show the state, the shares and the evidence."""
    _show(_ask(url, model_name, None))


@canary.command(epilog=example("almanac canary step 25 --url http://127.0.0.1:8080 --model-name demand"))
def step(
    percent: Annotated[float, Argument(help="Such as 25, 50 or 100.")],
    url: Url,
    model_name: Name,
) -> None:
    """Give the new version another share."""
    _show(_ask(url, model_name, {"percent": percent}))


@canary.command(epilog=example("almanac canary end --url http://127.0.0.1:8080 --model-name demand"))
def end(url: Url, model_name: Name) -> None:
    """Give the running version all requests back."""
    _show(_ask(url, model_name, {"end": True}))


def _ask(url: str, name: str, document: dict[str, Any] | None) -> dict[str, Any]:
    return ask(url, f"/v2/repository/models/{name}/canary", document)


def _show(found: dict[str, Any]) -> None:
    print(
        f"{found['use_case']}: version {found['new_version']} beside {found['running_version']}, {found['percent']:g}%"
    )
    print(f"{found['state']}: {found['reason'] or 'nothing was looked at yet'}")
    for name, measure in found["measures"].items():
        low, high = measure["excess_low"], measure["excess_high"]
        bounds = "no evidence yet" if low is None else f"excess over the bound {low:.4g} to {high:.4g}"
        counts = f"{measure['running_count']} and {measure['new_count']} values"
        print(f"  {name}: {measure['running_mean']:.4g} and {measure['new_mean']:.4g}, {counts}, {bounds}")
    if found["state"] == "promote":
        print(f"proposed: almanac registry promote {found['use_case']}/{found['new_version']} --why 'canary'")
