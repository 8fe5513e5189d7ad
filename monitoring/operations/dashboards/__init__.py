"""Grafana dashboards as code; `almanac dashboards` writes them to monitoring/dashboards."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitoring.operations.dashboards.panels import Board

__all__ = ["DIRECTORY", "boards", "render", "write"]

DIRECTORY = Path(__file__).resolve().parents[2] / "dashboards"


def boards() -> "list[Board]":
    """Return every dashboard."""
    from monitoring.operations.dashboards.models import DECISIONS, DRIFT, QUALITY
    from monitoring.operations.dashboards.service import API, RESOURCES, STORE

    return [API, QUALITY, DRIFT, STORE, DECISIONS, RESOURCES]


def render(board: "Board") -> str:
    """Return a dashboard as Grafana's JSON."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def write(directory: Path = DIRECTORY, check: bool = False) -> list[Path]:
    """Write the dashboards whose file is not as built, and return these files.

    Args:
        directory: of the JSON files.
        check: write nothing.
    """
    from almanac.core.files import write_bytes

    stale = []
    for board in boards():
        path, data = directory / f"{board.name}.json", render(board).encode()
        if not path.is_file() or path.read_bytes() != data:
            stale.append(path)
            if not check:
                write_bytes(path, data)
    return stale
