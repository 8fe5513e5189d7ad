"""The notebook in `examples/` runs from its first cell to its last."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK = ROOT / "examples" / "table_to_forecast.ipynb"


def test_it_goes_from_a_table_to_a_served_forecast(tmp_path: Path) -> None:
    # A notebook runs in its own directory, and its files belong to the test.
    notebook, executed = tmp_path / NOTEBOOK.name, tmp_path / "executed.ipynb"
    shutil.copyfile(NOTEBOOK, notebook)
    command = [str(Path(sys.executable).with_name("jupyter-execute")), str(notebook), f"--output={executed}"]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "IPYTHONDIR": str(tmp_path), "JUPYTER_PREFER_ENV_PATH": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = [cell for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code"]
    texts = [output.data.get("text/plain", "") for cell in cells for output in cell.outputs if "data" in output]
    assert any("'predictions'" in text and "'lower'" in text for text in texts)


def test_it_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert [cell.outputs for cell in cells if cell.cell_type == "code" and cell.outputs] == []
