"""The command that compiles pipelines and components."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration import compiled
from orchestration.commands.handed import pipelines
from orchestration.commands.options import command_app, example

app = command_app()


@app.command("compile", epilog=example("almanac compile --check"))
def _compile(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file is stale.")] = False,
    out: Annotated[Path, typer.Option(help="Directory of the compiled files.")] = Path("compiled"),
    usecases: Annotated[Path, typer.Option(help="Directory of the use case files.")] = Path("usecases"),
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Write the pipelines as objects for kubectl as well.")
    ] = False,
) -> None:
    """Compile every use case's pipelines, and each component by itself."""
    package = pipelines(context)
    files = compiled.compile_all(compiled.build_all(package.BUILDERS, usecases), package.load_components(), kubernetes)
    if check:
        compiled.check(files, out)
        typer.echo(f"{len(files)} compiled files are up to date")
        return
    changed = compiled.write(files, out)
    for difference in changed:
        typer.echo(f"  {difference.path}")
    typer.echo(f"{len(changed)} of {len(files)} files written to {out}")
