"""The pipelines of a use case, one module each."""

from importlib import import_module
from pathlib import Path
from typing import Any

import components
from pipelines.batch import batch_pipeline
from pipelines.monitoring import monitoring_pipeline
from pipelines.training import training_pipeline

__all__ = ["BUILDERS", "batch_pipeline", "load_components", "monitoring_pipeline", "training_pipeline"]

BUILDERS = {"training": training_pipeline, "batch": batch_pipeline, "monitoring": monitoring_pipeline}


def load_components() -> dict[str, Any]:
    """Return every component by the name of its folder."""
    # A new component is a new folder, and no line here.
    folders = sorted(path.parent.name for path in Path(components.__path__[0]).glob("*/component.py"))
    return {name: getattr(import_module(f"components.{name}.component"), name) for name in folders}
