"""Values as YAML in one line."""

import json
import math
from typing import Any

import yaml


def flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    # PyYAML ends a document of one bare scalar with three dots.
    text = text.removesuffix("\n").removesuffix("\n...")
    # JSON is YAML too, and keeps a text with a line break in one line.
    return json.dumps(value) if "\n" in text else text
