"""The pipelines that the application hands to its commands, because they are built above this package."""

from typing import Any

import typer


def pipelines(context: typer.Context) -> Any:
    """Return the application's package of pipelines: `BUILDERS` by kind, and `load_components()`."""
    return context.find_root().obj()


def build(context: typer.Context, kind: str, usecase: Any) -> Any:
    """Return the pipeline of that kind of a use case."""
    return pipelines(context).BUILDERS[kind](usecase)
