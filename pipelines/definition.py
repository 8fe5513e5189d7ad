"""The decorator that makes a function a pipeline of a use case."""

import inspect
from collections.abc import Callable
from typing import Any

from kfp import dsl

from almanac.usecase import UseCase
from orchestration.parameters import PARAMETERS
from orchestration.settings import PIPELINE, pipeline_name


def pipeline_of(usecase: UseCase, kind: str) -> Callable[[Callable[..., None]], Any]:
    """Return a decorator that names and describes a pipeline; the function's docstring is its purpose in a line."""

    def decorate(function: Callable[..., None]) -> Any:
        purpose = str(function.__doc__).rstrip(".")
        lines = [f"    {name}: {PARAMETERS[name]}" for name in inspect.signature(function).parameters]
        # kfp reads the descriptions of parameters from the docstring.
        function.__doc__ = "\n".join([f"{purpose}.", "", "Args:", *lines])
        text = f"{usecase.title}: {purpose[0].lower()}{purpose[1:]}."
        pipeline = dsl.pipeline(name=pipeline_name(usecase.name, kind), description=text, pipeline_config=PIPELINE)(
            function
        )
        _shorten(pipeline.pipeline_spec)
        return pipeline

    return decorate


def _shorten(spec: Any) -> None:
    """Remove the descriptions of tasks' inputs and outputs, which Kubeflow copies eight times into a run's object."""
    for component in spec.components.values():
        for definitions in (component.input_definitions, component.output_definitions):
            for definition in (*definitions.parameters.values(), *definitions.artifacts.values()):
                definition.description = ""
