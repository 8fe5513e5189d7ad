"""Raise the limits of the errors that alert rules compare with, in the files of an exporter."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from almanac.core.errors import AgentError
from almanac.core.files import sha256_bytes, write_bytes
from monitoring import metrics
from operations.agent.actions import Action, Values

if TYPE_CHECKING:
    from operations.agent.site import Site

_LIMITS = (metrics.ROLLING_RMSE_LIMIT.name, metrics.WINDOW_RMSE_LIMIT.name)
_LINE = re.compile(rf"^({'|'.join(_LIMITS)})(\{{[^}}]*\}}) (\S+)$", re.MULTILINE)


class _ChangeThresholds(Action):
    name = "change_thresholds"
    title = "Raise the limits of the errors"
    risk = "risky"
    inverse = "the limits before are written again; the next push of the version's figures does so as well"

    def plan(self, site: "Site", cause: str) -> Values | None:
        if site.settings.figures is None or not (path := _path(site)).is_file():
            return None
        limits = _limits(path)
        if not limits:
            return None
        return {"factor": site.policy.threshold_factor, "limits": limits}

    def observe(self, site: "Site", parameters: Values) -> Values:
        return {"limits": _limits(_path(site))}

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        wanted = {name: value * parameters["factor"] for name, value in parameters["limits"].items()}
        return {"sha256": _write(site, wanted)}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        now = _limits(_path(site))
        return all(now.get(name) == value * parameters["factor"] for name, value in parameters["limits"].items())

    def undo(self, site: "Site", parameters: Values, before: Values, key: str) -> None:
        _write(site, before["limits"])


def _path(site: "Site") -> Path:
    return Path(site.settings.figures or "") / f"{site.use_case}-model.prom"


def _limits(path: Path) -> dict[str, float]:
    try:
        return {name + labels: float(value) for name, labels, value in _LINE.findall(path.read_text())}
    except (OSError, ValueError) as error:
        raise AgentError(f"{path}: cannot be read ({error})") from None


def _write(site: "Site", wanted: dict[str, float]) -> str:
    path = _path(site)
    try:
        text = _LINE.sub(lambda line: f"{line[1]}{line[2]} {wanted.get(line[1] + line[2], line[3])}", path.read_text())
        write_bytes(path, text.encode())
    except (OSError, ValueError) as error:
        raise AgentError(f"{path}: cannot be written ({error})") from None
    return sha256_bytes(text.encode())


KIND = _ChangeThresholds()
