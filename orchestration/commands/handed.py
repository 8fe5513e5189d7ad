"""The pipelines that the application hands to its commands, because they are built above this package."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from almanac.usecase import UseCase

Builder = Callable[["UseCase"], Any]


@dataclass(frozen=True)
class Pipelines:
    """Builders of pipelines and the components; each imports Kubeflow on its first call, and not before.

    Attributes:
        builders: returns the builders by kind: training, batch, monitoring.
        components: returns the components by name.
    """

    builders: Callable[[], Mapping[str, Builder]]
    components: Callable[[], Mapping[str, Any]]

    def build(self, kind: str, usecase: "UseCase") -> Any:
        """Return the pipeline of that kind of a use case."""
        return self.builders()[kind](usecase)


def pipelines(context: typer.Context) -> Pipelines:
    """Return the pipelines that were handed to the running command."""
    handed: Pipelines = context.find_root().obj
    return handed
