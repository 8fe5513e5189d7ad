"""The decorator that makes a function a pipeline of a use case."""

import inspect
from collections.abc import Callable
from typing import Any

from kfp import dsl

from almanac.usecase import UseCase
from orchestration.parameters import PARAMETERS
from orchestration.settings import PIPELINE


def pipeline_of(usecase: UseCase, kind: str) -> Callable[[Callable[..., None]], Any]:
    """Return a decorator that names and describes a pipeline; the function's docstring is its purpose in a line."""

    def decorate(function: Callable[..., None]) -> Any:
        purpose = str(function.__doc__).rstrip(".")
        lines = [f"    {name}: {PARAMETERS[name]}" for name in inspect.signature(function).parameters]
        # kfp reads the descriptions of parameters from the docstring.
        function.__doc__ = "\n".join([f"{purpose}.", "", "Args:", *lines])
        name = f"{usecase.name.replace('_', '-')}-{kind}"
        text = f"{usecase.title}: {purpose[0].lower()}{purpose[1:]}."
        return dsl.pipeline(name=name, description=text, pipeline_config=PIPELINE)(function)

    return decorate
