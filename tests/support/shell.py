"""The command line of `python -m governance`, called in the test's own process."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from governance.__main__ import main


class Shell:
    """Calls the command line in this process and keeps what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: Path) -> None:
        self._monkeypatch, self._capsys, self._url = monkeypatch, capsys, url

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["governance", *arguments, "--registry", str(self._url)])
        code = main()
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)
