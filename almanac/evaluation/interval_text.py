"""Texts of metrics with their intervals."""

from typing import Any

from almanac.reports import format_number

_IN_UNITS = ("rmse", "mae", "bias", "pinball", "width")


def digits(entry: dict[str, Any], metric: str = "rmse") -> int:
    """Return the digits after the decimal point of a target's metric."""
    if entry["task"] == "classification" or metric not in _IN_UNITS:
        return 3
    return 2 if entry["rmse"] < 100 else 1


def with_interval(value: float | None, interval: list[float] | None, digits: int) -> str:
    """Return a metric, its interval behind it."""
    return f"{format_number(value, digits)} {brackets(interval, digits)}".strip()


def brackets(interval: list[float] | None, digits: int) -> str:
    """Return an interval in brackets; nothing for none."""
    return "" if interval is None else f"[{format_number(interval[0], digits)}, {format_number(interval[1], digits)}]"


def percent(value: float | None, interval: list[float] | None) -> str:
    """Return a share and its interval in percent; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.1%}" + ("" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]")
