"""Fields that a use case file leaves out, with their default values."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from almanac.core.yaml_text import parse_yaml
from almanac.usecase.load import dump
from almanac.usecase.model import UseCase


def defaults_of(path: Path, usecase: UseCase) -> dict[str, Any]:
    """Return path of field -> value for each field that the file at `path` leaves to its default.

    A section that the file leaves out as a whole is one entry. Fields that are off by default are not listed.
    """
    given = parse_yaml(path.read_text(encoding="utf-8"))
    return dict(_left_out(json.loads(dump(usecase)), given, ""))


def explained(defaults: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a YAML text with these values."""
    for field, value in defaults.items():
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
        # PyYAML ends a document of one bare scalar with three dots.
        yield f"{field}: {text.strip().removesuffix('...').strip()}"


def _left_out(whole: Any, given: Any, field: str) -> Iterator[tuple[str, Any]]:
    if isinstance(whole, dict) and isinstance(given, dict):
        for key, value in whole.items():
            name = f"{field}.{key}" if field else str(key)
            if key in given:
                yield from _left_out(value, given[key], name)
            elif value not in (None, [], {}):
                yield name, value
    elif isinstance(whole, list) and isinstance(given, list):
        for index, (value, other) in enumerate(zip(whole, given, strict=False)):
            named = value.get("name", index) if isinstance(value, dict) else index
            yield from _left_out(value, other, f"{field}.{named}")
