"""The plots of drift reports: the reference block by block and, right of a line, the windows."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from almanac.drift.comparison import Comparison, FeatureDrift
from almanac.drift.counting.histogram import Floats
from almanac.drift.findings import iso_span
from almanac.drift.outputs import ImportanceDrift, ImportanceProfile
from almanac.drift.profiles.reference import Feature
from almanac.reports import COLOURS, Times, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TICKS = 12
#: Features whose importance is drawn.
_LEADING = 10
#: A block that is named by the day on which it begins; others are months, quarters or rows.
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def histograms(
    feature: Feature, windows: Sequence[tuple[Comparison, FeatureDrift]], times: Times, title: str = ""
) -> "Figure":
    """Return the shares of a column's bins over time, and those of the last window and its reference.

    One window is drawn block by block, several as a column each.

    Args:
        feature: the column's reference.
        windows: windows that were compared with it, oldest first.
        times: how the use case's times are written.
        title: of the plot; the column's name when empty.
    """
    newest, drift = windows[-1]
    figure, axes = new_figure(height=2.3, columns=2, gridspec_kw={"width_ratios": (3, 1), "wspace": 0.06})
    over_time, bars = axes[0]
    if len(windows) == 1:
        now, names = drift.shares[2:], list(newest.blocks)
    else:
        now, names = np.array([judged.shares[1] for _, judged in windows]), [_began(c) for c, _ in windows]
    shares, labels = np.concatenate((feature.history, now)) / 255, _labels((*newest.profile.blocks, *names), times)
    # Colours are for the reference's own range: one full bin in the window must not pale the years before.
    _heat(over_time, shares, float(feature.history.max(initial=1)) / 255, len(feature.history), labels)
    over_time.set_yticks(*_bin_ticks(feature, shares.shape[1]), fontsize=7)
    over_time.set_title(f"{title or drift.name} — {'drifted' if drift.drifted else 'quiet'}", fontsize=9)
    window = drift.shares[1] / 255
    positions = np.arange(len(window))
    bars.barh(positions + 0.5, drift.shares[0] / 255, height=0.9, color=COLOURS["band"], label="reference")
    bars.plot(window, positions + 0.5, "o-", color=COLOURS["warning"], markersize=3, linewidth=1, label="window")
    _style_bars(bars)
    return figure


def importances(
    reference: ImportanceProfile,
    windows: Sequence[tuple[str, ImportanceDrift]],
    times: Times,
    title: str = "importance",
) -> "Figure":
    """Return the importances of the leading features over time, their agreement, and those of the last window.

    Args:
        reference: frozen with the model.
        windows: windows that were compared with it, by name, oldest first.
        times: how the use case's times are written.
        title: of the plot.
    """
    drift = windows[-1][1]
    names = sorted(reference.names, key=lambda name: (-max(drift.reference[name], drift.current[name]), name))
    names = names[:_LEADING][::-1]  # the first on top
    grid = {"width_ratios": (3, 1.6, 1.6), "wspace": 0.14}
    figure, axes = new_figure(height=2.6, columns=3, gridspec_kw=grid)
    over_time, agreement, bars = axes[0]
    columns = [reference.names.index(name) for name in names]
    before = reference.sizes[:, columns] / np.maximum(reference.sizes.sum(axis=1, keepdims=True), 1e-300)
    now = np.array([[window.current[name] for name in names] for _, window in windows])
    # Each feature over its own largest share: the leading one would leave no colour for the others.
    top = np.maximum(before.max(axis=0), 1e-300)
    labels = _labels((*map(reference.label, range(len(before))), *(name for name, _ in windows)), times)
    _heat(over_time, np.concatenate((before, now)) / top, 1.0, len(before), labels)
    over_time.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=7)
    over_time.set_title(f"{title} — {'drifted' if drift.drifted else 'quiet'}", fontsize=9)
    _agreement(agreement, reference.agreement(), windows)
    positions = np.arange(len(names))
    bars.barh(
        positions + 0.5, [drift.reference[n] for n in names], height=0.9, color=COLOURS["band"], label="reference"
    )
    values = [drift.current[name] for name in names]
    bars.plot(values, positions + 0.5, "o", color=COLOURS["warning"], markersize=3, label="window")
    _style_bars(bars)
    return figure


def _agreement(axes: "Axes", before: Floats, windows: Sequence[tuple[str, ImportanceDrift]]) -> None:
    axes.plot(np.arange(len(before)), before, ".", color=COLOURS["neutral"], markersize=4)
    positions = len(before) + np.arange(len(windows))
    axes.plot(positions, [window.ndcg for _, window in windows], "o", color=COLOURS["warning"], markersize=4)
    axes.axhline(windows[-1][1].least, color=COLOURS["warning"], linewidth=1)
    axes.set_xticks([])
    axes.tick_params(labelsize=7)
    axes.set_title("agreement, nDCG", fontsize=9)


def _began(comparison: Comparison) -> str:
    return comparison.blocks[0] if comparison.span is None else (iso_span(comparison.span) or ("",))[0][:10]


def _labels(blocks: Iterable[str], times: Times) -> list[str]:
    return [times.day(block) if _DAY.fullmatch(block) else block for block in blocks]


def _heat(axes: "Axes", shares: Floats, top: float, reference: int, labels: Sequence[str]) -> None:
    """Draw shares (b, rows) over time, and a line where the reference's blocks end."""
    extent = (0, shares.shape[0], 0, shares.shape[1])
    axes.imshow(
        shares.T, cmap="GnBu", vmin=0, vmax=top, origin="lower", aspect="auto", interpolation="nearest", extent=extent
    )
    axes.grid(visible=False)
    axes.axvline(reference, color=COLOURS["warning"], linewidth=1.5)
    # Rounded up, so that there are never more than _TICKS.
    every = max(1, -(-len(labels) // _TICKS))
    axes.set_xticks(np.arange(0, len(labels), every) + 0.5, labels[::every], rotation=40, ha="right", fontsize=7)


def _style_bars(bars: "Axes") -> None:
    bars.set_yticks([])
    bars.tick_params(labelsize=7)
    # Above the bars, which may reach everywhere.
    bars.legend(fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _bin_ticks(feature: Feature, bins: int) -> tuple[list[float], list[str]]:
    if feature.layout is None:
        return [i + 0.5 for i in range(bins)], [*feature.labels[: bins - 1], "other"][:bins]
    lower = feature.layout.lower[feature.layout.bins]
    ticks = list(range(0, bins, max(1, bins // 6)))
    return [float(tick) for tick in ticks], [f"{lower[tick]:.3g}" for tick in ticks]
