import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import NoCompilerError
from almanac.model.engine import Engine
from almanac.model.engine.build import load_library, source_digest
from almanac.native.libraries import TREES
from tests.support.engine_models import matrix, text

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and os.environ.get("CI") != "true", reason="cc is not installed"
)


@pytest.fixture
def model(beijing: pl.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "model.bst"
    path.write_bytes(text("numbers", beijing))
    return path


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALMANAC_KERNELS", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as an image's build leaves it."""
    directory = tmp_path_factory.mktemp("image") / "kernels"
    subprocess.run([sys.executable, "-m", "almanac.native", str(directory)], check=True)
    return directory


@needs_compiler
def test_kernels_are_compiled_once_and_whole(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMANAC_KERNELS", str(image))
    files = list(image.iterdir())
    assert [path.suffix for path in files] == [".so", ".so"]
    written = [path.stat().st_mtime_ns for path in files]
    load_library()
    assert list(image.iterdir()) == files
    assert [path.stat().st_mtime_ns for path in files] == written


@needs_compiler
def test_an_image_without_a_compiler_uses_what_its_build_compiled(
    image: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_KERNELS", str(image))
    monkeypatch.setenv("CC", "no-such-compiler")
    assert Engine.load(model).kind == "compiled"


def test_without_a_compiler_lightgbm_answers_with_one_warning(
    directory: Path,
    model: Path,
    beijing: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    engine = Engine.load(model)
    assert (engine.kind, engine.explainer_kind) == ("lightgbm", "lightgbm")
    assert len(caplog.records) == 1
    assert "compiler" in caplog.text
    assert not list(directory.glob("*"))
    X = matrix(beijing)[0][:20]
    np.testing.assert_array_equal(engine.predict(X), [engine.predict_row(x) for x in X])


@needs_compiler
@pytest.mark.parametrize(
    ("name", "right", "wrong", "kinds"),
    [
        ("kernels.c", "column[r] <= cut ? 255", "column[r] < cut ? 255", ("lightgbm", "lightgbm")),
        ("kernels.c", "bytes[w->column] > w->cut", "bytes[w->column] >= w->cut", ("lightgbm", "lightgbm")),
        ("shap.c", "(rank >= low) & (rank <= high);", "(rank > low) & (rank <= high);", ("compiled", "lightgbm")),
    ],
)
def test_wrong_kernels_are_found_out_at_load(
    name: str,
    right: str,
    wrong: str,
    kinds: tuple[str, str],
    directory: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sources = directory / "sources"
    shutil.copytree(TREES.directory, sources)
    text = (sources / name).read_text()
    assert right in text
    (sources / name).write_text(text.replace(right, wrong))
    target = directory / f"kernels-{source_digest()[:16]}-00000000.so"
    flags = [
        "-O1",
        "-std=gnu11",
        "-fPIC",
        "-shared",
        "-Wno-psabi",
        "-DDISPATCH=",
        f'-DSOURCE_DIGEST="{source_digest()}"',
    ]
    subprocess.run(
        ["cc", *flags, *(str(sources / source) for source in TREES.sources), "-o", str(target), "-lm"], check=True
    )
    monkeypatch.setenv("CC", "no-such-compiler")
    engine = Engine.load(model)
    assert (engine.kind, engine.explainer_kind) == kinds
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "differ" in caplog.text


def test_a_compiler_that_fails_is_told_of(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho cannot do that >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(NoCompilerError, match="cannot do that"):
        load_library()
    assert not list(directory.glob("*"))


@needs_compiler
def test_a_library_of_other_sources_is_not_loaded(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir()
    source = directory / "other.c"
    source.write_text('const char *almanac_source_digest(void) { return "other"; }\n')
    target = directory / f"kernels-{source_digest()[:16]}-00000000.so"
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(target)], check=True)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompilerError, match="other sources"):
        load_library()


def test_serving_does_not_import_the_training_stack(model: Path) -> None:
    """LightGBM's Python package alone costs seconds at a cold start and over 100 MB."""
    program = (
        "import sys; from pathlib import Path; from almanac.model.engine import Engine; import numpy as np;"
        f"e = Engine.load(Path({str(model)!r})); e.predict_row(np.zeros(11)); e.explain(np.zeros((1, 11)));"
        "assert not {'lightgbm', 'scipy', 'sklearn', 'pandas', 'shap'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
