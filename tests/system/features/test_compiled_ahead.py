"""The compiled engine of an image that has no compiler."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from almanac.native.libraries import FEATURES
from tests.unit.features.test_features_properties import needs_compiler

ROOT = Path(__file__).resolve().parents[3]
Array = npt.NDArray[np.float64]


@needs_compiler
def test_an_image_without_a_compiler_uses_what_its_build_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "almanac.native", str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"{tmp_path}\n"
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("ALMANAC_KERNELS", str(tmp_path))
    assert FEATURES.load().almanac_execute
