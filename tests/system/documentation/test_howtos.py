"""How-tos that change the project are carried out on a copy of it; the example extension runs the others."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.support.server import ServerProcess

ROOT = Path(__file__).resolve().parents[3]
HOWTOS = ROOT / "docs" / "howto"
_BLOCK = re.compile(r'```python(?: title="([^"]+)")?\n(.*?)```', re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the code of a how-to with the files that it goes into, "" where none is named."""
    return _BLOCK.findall((HOWTOS / page).read_text())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's files, with the component, the cause and the action of the how-tos."""
    copy = tmp_path_factory.mktemp("project")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    for name, code in [*blocks("component.md"), *blocks("agent.md")]:
        if name:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_text(code)
    settings, use = (code for name, code in blocks("component.md") if not name)
    insert(copy / "orchestration" / "settings.py", "SETTINGS = {\n", settings)
    pipeline = copy / "pipelines" / "training.py"
    validated = '            valid = configure(case, validation(usecase=usecase, table=table.outputs["table"]))\n'
    insert(pipeline, validated, use)
    insert(pipeline, "from kfp import dsl\n", "from components.overview.component import overview\n")
    return copy


def insert(path: Path, after: str, code: str) -> None:
    """Insert code after a line that the file must have."""
    text = path.read_text()
    assert text.count(after) == 1, f"{path}: {after}"
    path.write_text(text.replace(after, after + code))


def test_a_component_is_compiled_with_the_pipelines_that_use_it(copy: Path) -> None:
    command = [sys.executable, "pipeline.py", "compile"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    changed = set(re.findall(r"compiled/\S+", done.stdout))
    assert "compiled/components/overview.yaml" in changed
    assert {path for path in changed if path.endswith("_training.yaml")}
    assert not {path for path in changed if path.endswith("_batch.yaml")}


def test_its_task_does_what_the_page_says(copy: Path, tmp_path: Path) -> None:
    pl.DataFrame({"time": [1, 2, 3], "load": [1.0, None, 2.0]}).write_parquet(tmp_path / "table.parquet")
    script = (
        "from pathlib import Path\nfrom components.overview.task import run\n"
        f"print(run(Path({str(tmp_path / 'table.parquet')!r}), Path({str(tmp_path / 'page.md')!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "3"
    assert "| load | Float64 | 1 |" in (tmp_path / "page.md").read_text()


def test_the_agent_finds_the_cause_and_the_action_of_the_page(
    copy: Path, server: ServerProcess, tmp_path: Path
) -> None:
    (causes,) = re.findall(r"```yaml\n(.*?)```", (HOWTOS / "agent.md").read_text(), re.DOTALL)
    (tmp_path / "policy.yaml").write_text(f'use_cases: {{air: {{server: {{url: "{server.url}"}}}}}}\n{causes}')
    script = (
        "from pathlib import Path\nfrom operations.agent.actions import ACTIONS\n"
        "from operations.agent.diagnosis import diagnose\nfrom operations.agent.evidence import Evidence\n"
        "from operations.agent.policy import read_policy\nfrom operations.agent.site import Site\n"
        "first = diagnose(Evidence(figures={'clock.ahead': 8.0}))[0]\n"
        f"folder = Path({str(tmp_path)!r})\npolicy = read_policy(folder / 'policy.yaml')\n"
        "site = Site('air', policy, policy.use_cases['air'], str(folder / 'registry'), folder / 'runs')\n"
        "action = ACTIONS[policy.causes[first.cause][0]]\n"
        "print(f'{first.confidence:.2f}', action.do(site, action.plan(site, first.cause), {}, 'key'))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0.73 {'ready': True}\n"


def test_the_output_of_the_page_is_the_one_that_the_contract_test_adds() -> None:
    field = next(code.strip() for name, code in blocks("output.md") if name)
    assert field in (ROOT / "tests" / "contract" / "extensions" / "test_output.py").read_text()


@pytest.mark.parametrize("page", sorted(HOWTOS.glob("*.md")), ids=lambda page: page.stem)
def test_every_file_that_a_how_to_shows_is_part_of_the_example(page: Path) -> None:
    for name in re.findall(r'--8<-- "([^"]+)"', page.read_text()):
        assert (ROOT / name).is_file(), name
