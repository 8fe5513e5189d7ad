"""Commands for the releases of Almanac itself."""

from pathlib import Path
from typing import Annotated

import typer

from almanac.core.files import write_json, write_text
from orchestration import image_tags, release, sbom
from orchestration.commands.options import command_app, example

app = command_app(help="Release Almanac itself; run these in a checkout.", epilog=example("almanac dev next-version"))


@app.command("next-version", epilog=example("almanac dev next-version"))
def _next_version() -> None:
    """Print the version that follows from the commits since the last release."""
    typer.echo(release.next_version(Path.cwd()))


@app.command("set-version", epilog=example("almanac dev set-version"))
def _set_version() -> None:
    """Write the next version to every file that holds it."""
    release.set_version(Path.cwd(), release.next_version(Path.cwd()))


@app.command("notes", epilog=example("almanac dev notes v0.2.0 build/changelog.md"))
def _notes(
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Tag of the release.", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.", show_default=False)],
) -> None:
    """Write the notes of a release."""
    write_text(out, release.notes(tag, Path.cwd()))


@app.command("sbom", epilog=example("almanac dev sbom requirements/serving.txt build/serving.cdx.json"))
def _sbom(
    requirements: Annotated[
        Path, typer.Argument(metavar="REQUIREMENTS", help="Locked requirements of an image.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.", show_default=False)],
) -> None:
    """Write the bill of materials of an image."""
    write_json(out, sbom.bill(requirements.stem, requirements.read_text(encoding="utf-8")))


@app.command("image-tags", epilog=example("almanac dev image-tags ghcr.io/almanac/serving"))
def _image_tags(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the image.", show_default=False)],
) -> None:
    """Print version and tags of an image as the output of a workflow's step."""
    typer.echo(image_tags.outputs(name, Path.cwd()))
