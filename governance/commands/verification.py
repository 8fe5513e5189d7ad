"""`almanac verify`: the verification of a run, a bundle or a registered version."""

from pathlib import Path
from typing import Annotated

import typer

from almanac.core.errors import RegistryError
from governance.commands.common import AsJson, app, emit, example
from governance.registry import default_url, resolve
from governance.registry.address import SCHEME


@app.command(epilog=example("almanac verify runs/demand/latest"))
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
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="Refuse a log that lacks what this file notes.")
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
    verdict = Verdict(directory, list(examine(Request(directory, url, trust, data, checkpoint))))
    emit(verdict.to_json(), verdict.lines(), as_json)
    verdict.check()


def _located(target: str, registry: str | None) -> tuple[Path, str | None]:
    """Return the directory to verify, and the registry to compare it with."""
    url = registry or default_url()
    if target.startswith(SCHEME):
        return resolve(target, url).parent, url
    directory = Path(target)
    if not directory.is_dir():
        raise RegistryError(f"{target}: no such directory; expected a run, a bundle or registry:USE_CASE/STAGE")
    return directory, registry
