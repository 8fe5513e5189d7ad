"""Variables of the dashboards: use case, model and version, in every query on a series that has such a label."""

import re

from monitoring.metrics import ALL

VARIABLES = ("use_case", "model", "version")
_TITLES = {"use_case": "Use case", "model": "Model", "version": "Version"}
#: Labels of the recorded series that a variable can be about; see monitoring/rules/recording.yaml.
RECORDED = {
    "almanac:request_duration_seconds_bucket:rate5m": ("model",),
    "almanac:request_duration_seconds:p50_5m": ("model",),
    "almanac:request_duration_seconds:p99_5m": ("model",),
    "almanac:model_error:ratio_to_test": VARIABLES,
    "almanac:model_error:ratio_to_limit": VARIABLES,
    "almanac:feedback:increase1d": ("model", "version"),
    "almanac:drifted_features:count": ("model",),
    "almanac:drift_score:max": ("model",),
}
#: The series that list what there is: of servers, and of pipelines.
_LISTS = "almanac_model_info|almanac_model_trained_timestamp_seconds"
#: A series, and not a text such as almanac-server in the matchers of another one.
_SERIES = re.compile(r"\b(almanac[a-z0-9_]*(?::[a-z0-9_]+)*)\b(?!\")(\{[^}]*\})?")


def labels() -> dict[str, tuple[str, ...]]:
    """Return the variables that each series has as labels."""
    exported = {name: metric.labels for metric in ALL for name in metric.series}
    return {name: tuple(each for each in VARIABLES if each in own) for name, own in (exported | RECORDED).items()}


def scoped(query: str) -> str:
    """Return a query restricted to the variables' choice."""
    known = labels()

    def scope(match: re.Match[str]) -> str:
        # By a regular expression, because Grafana writes several chosen values as (a|b).
        chosen = [f'{name}=~"${name}"' for name in known.get(match[1], ())]
        own = [match[2][1:-1]] if match[2] and match[2] != "{}" else []
        return f"{match[1]}{{{','.join([*own, *chosen])}}}" if own or chosen else match[0]

    return _SERIES.sub(scope, query)


def options(variable: str) -> str:
    """Return the query of a variable's values, within those of the variables before it."""
    before = VARIABLES[: VARIABLES.index(variable)]
    matchers = [f'__name__=~"{_LISTS}"', *(f'{name}=~"${name}"' for name in before)]
    return f"label_values({{{','.join(matchers)}}}, {variable})"


def title(variable: str) -> str:
    """Return a variable's name for people."""
    return _TITLES[variable]
