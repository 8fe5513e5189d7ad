"""Instructive weeks of the test span, which the report draws: of one series, or of several entities of a panel."""

import numpy as np
import numpy.typing as npt

from almanac.evaluation.error_analysis import week_of
from almanac.evaluation.scored_rows import ScoredRows

Positions = npt.NDArray[np.intp]

_WEEK = 7 * 86_400_000_000
#: A week, or an entity, with a smaller share of the most rows is no example.
_FULL = 0.8
#: Fewest rows of a week that show a course; a series of weeks, months or quarters is drawn whole.
_FEWEST = 4
_WHOLE = "The whole test span"


def sampled_weeks(scored: ScoredRows) -> dict[str, Positions]:
    """Return the rows of each drawn week by its title.

    Of one series the weeks with the highest values, an ordinary error and the largest error; of a panel such weeks of
    an ordinary entity, of the hardest one, of the one with the highest values, and of one that training has not seen.
    """
    everything = np.arange(scored.y.size)
    if scored.keys.width == 1:
        return _each_once(_of_series(scored, everything))
    names, code = np.unique(scored.keys.to_series(0).cast(str).to_numpy(), return_inverse=True)
    if names.size == 1:
        return {f"{title}, {names[0]}": rows for title, rows in _each_once(_of_series(scored, everything)).items()}
    drawn = {}
    for entity, (entity_title, week) in _entities(scored, code).items():
        weeks = _of_series(scored, np.flatnonzero(code == entity))
        title = week if week in weeks else _WHOLE
        drawn[f"{entity_title} {names[entity]}, {title.lower()}"] = weeks[title]
    return drawn


def _entities(scored: ScoredRows, code: Positions) -> dict[int, tuple[str, str]]:
    """Return the drawn entities, each with its title and the week that is drawn of it."""
    n = np.bincount(code)
    size = np.abs(scored.prediction - scored.y)
    if scored.scales is not None:
        # By their own unit: in that of the target the largest entity is always the hardest.
        size = size / np.where(scored.scales > 0, scored.scales, np.nan)
    error = np.bincount(code, weights=np.nan_to_num(size)) / n
    mean = np.bincount(code, weights=scored.y) / n
    unseen = np.zeros(n.size, np.bool_) if scored.unseen is None else np.bincount(code, weights=scored.unseen) > 0
    known = np.flatnonzero(~unseen if not unseen.all() else unseen)
    full = known[n[known] >= _FULL * n[known].max()]
    ordinary, highest, hardest = (
        int(full[np.argsort(error[full], kind="stable")[full.size // 2]]),
        int(full[np.argmax(mean[full])]),
        int(full[np.argmax(error[full])]),
    )
    picks = {ordinary: ("An ordinary entity,", "An ordinary week")}
    picks.setdefault(highest, ("The entity with the highest values,", "The highest week"))
    picks.setdefault(hardest, ("The hardest entity,", "The hardest week"))
    if unseen.any() and not unseen.all():
        picks[int(np.argmax(np.where(unseen, n, 0)))] = ("An unseen entity,", "An ordinary week")
    return picks


def _each_once(weeks: dict[str, Positions]) -> dict[str, Positions]:
    """Return the weeks without repetitions; one that is picked twice keeps its first title."""
    titles = {int(rows[0]): title for title, rows in reversed(weeks.items())}
    return {title: rows for title, rows in weeks.items() if title in titles.values()}


def _of_series(scored: ScoredRows, series: Positions) -> dict[str, Positions]:
    """Return the rows of three weeks of one series, given its rows; of one whose weeks show no course all of them."""
    time = scored.time[series]
    week = week_of(time)
    weeks, index = np.unique(week, return_inverse=True)
    n = np.bincount(index)
    # Two weeks hold one whole week from Monday to Sunday at the least.
    if time.max() - time.min() < 2 * _WEEK or n.max() < _FEWEST:
        return {_WHOLE: series}
    error = np.sqrt(np.bincount(index, weights=(scored.prediction - scored.y)[series] ** 2) / n)
    mean = np.bincount(index, weights=scored.y[series]) / n
    full = np.flatnonzero(n >= _FULL * n.max())
    ordinary = full[np.argsort(error[full], kind="stable")[full.size // 2]]
    picks = {
        "The highest week": full[np.argmax(mean[full])],
        "An ordinary week": ordinary,
        "The hardest week": full[np.argmax(error[full])],
    }
    return {title: series[week == weeks[pick]] for title, pick in picks.items()}
