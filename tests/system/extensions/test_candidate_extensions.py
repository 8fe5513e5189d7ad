"""A candidate of a package of its own is declared and checked like any other, and a broken package is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import extension, panel
from tests.support.candidate_package import CANDIDATE, CODE, ENTRY_POINTS

LOAD = """
import sys
from almanac.core.errors import AlmanacError
from almanac.usecase import load_text, schema
try:
    load_text(sys.argv[1], "case")
except AlmanacError as error:
    print(error)
print("DayBefore" in str(schema()))
"""


def case(**changes: Any) -> str:
    return json.dumps(panel.declaration({**CANDIDATE, **changes}))


def test_the_schema_and_the_rules_of_a_use_case_know_the_candidate(tmp_path: Path) -> None:
    extension.install(tmp_path, "yesterday", CODE, ENTRY_POINTS)
    done = extension.run(tmp_path, LOAD, case(fixed={"shrinkage": 0.5}))
    assert (done.stdout, done.stderr) == ("True\n", "")
    wrong = extension.run(tmp_path, LOAD, case(fixed={"shrnk": 1})).stdout
    assert "training.candidates.yesterday.fixed.shrnk: is no parameter of day_before; did you mean shrink?" in wrong
    assert "unknown field; did you mean 'fixed'?" in extension.run(tmp_path, LOAD, case(fixd={})).stdout
    blend = {"name": "both", "kind": "blend", "of": ["yesterday", "ridge"]}
    blended = json.dumps(panel.declaration(CANDIDATE, {"name": "ridge", "kind": "linear"}, blend))
    kinds = "feature, kernel_ridge, lightgbm, linear and mlp"
    message = f"both.of: yesterday is of kind day_before; a blend is made of kinds {kinds}"
    assert message in extension.run(tmp_path, LOAD, blended).stdout


def test_a_kind_that_only_an_extension_has_is_named_with_its_group(tmp_path: Path) -> None:
    done = extension.run(tmp_path, LOAD, case())
    assert (
        "training.candidates.0.kind: there is no candidate 'day_before'; known are additive_regression, arima, "
        in done.stdout
    )
    assert "if an extension brings it, install that package here (almanac.candidates)" in done.stdout


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import absent_library\n",
            "candidate 'day_before' of the package yesterday (yesterday:KIND) cannot be loaded: ModuleNotFoundError: "
            "No module named 'absent_library'; mend, reinstall or uninstall that package",
        ),
        (
            CODE.replace('name = "day_before"', 'name = "linear"'),
            "candidate 'linear' is registered twice: by almanac.training.candidates.linear and by the package "
            "yesterday (yesterday:KIND); rename one of them or uninstall its package",
        ),
        (
            CODE.replace('Literal["day_before"]', 'Literal["other"]'),
            "candidate 'day_before': expected the field 'kind' of DayBefore to be Literal['day_before']",
        ),
    ],
)
def test_a_broken_extension_is_named(tmp_path: Path, code: str, message: str) -> None:
    extension.install(tmp_path, "yesterday", code, ENTRY_POINTS)
    done = extension.run(tmp_path, "from almanac.usecase import load_text; load_text('{}', 'case')")
    assert done.returncode == 1
    assert message in done.stderr


def test_a_model_of_a_body_that_only_an_extension_has_is_named(tmp_path: Path) -> None:
    script = "from almanac.model.bodies import read_body; read_body('day_before', {}, [], 'm')"
    done = extension.run(tmp_path, script)
    assert "m: there is no model body 'day_before'; known are additive_regression, arima, ets, " in done.stderr
    assert "install that package here (almanac.bodies)" in done.stderr
