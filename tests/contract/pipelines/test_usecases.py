import re
import subprocess
from pathlib import Path

import pytest

from almanac.features.spec import FeatureSpec
from almanac.usecase import load

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "usecases").glob("*.yaml"))
EVERYDAY_WORDS = {"temp", "volume", "weather", "snow", "rain", "clouds", "holiday"}
ROOMS = (
    *("almanac", "governance", "monitoring", "serving", "orchestration", "operations", "components", "pipelines"),
    "pipeline.py",
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_use_case_is_complete(path: Path) -> None:
    case = load(path)
    assert case.name == path.stem
    assert all(source.sha256 for source in case.sources), "a source that never changes declares its digest"
    assert {gate.rule for gate in case.gates} >= {"beats_baselines", "not_worse_than_registered", "coverage"}
    spec = FeatureSpec.of(case)
    names = [feature.name for feature in spec.features]
    assert len(names) == len(set(names))
    assert len({item.group for item in case.features.items}) >= 4


def test_the_second_use_case_differs_in_every_way() -> None:
    first, second = (load(ROOT / "usecases" / f"{name}.yaml") for name in ("air_quality", "traffic"))
    assert {target.task for target in second.targets} == {"regression", "classification"}
    assert not first.columns.keys() & second.columns.keys() - {"temp"}
    assert first.validation != second.validation


def test_no_code_names_what_a_use_case_is_about() -> None:
    listed = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    columns = sorted({column for path in FILES for column in load(path).columns} - EVERYDAY_WORDS)
    subject = re.compile(r"pm2\.?5|beijing|air.?quality|particulate|interstate|minneapolis|greykite", re.IGNORECASE)
    quoted = re.compile("|".join(rf"[\"']{column}[\"']" for column in columns))
    for path in [ROOT / line for line in listed.splitlines()]:
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not subject.search(text), f"{path.relative_to(ROOT)} names the subject of a use case"
            assert not quoted.search(text), f"{path.relative_to(ROOT)} names a column of a use case"
