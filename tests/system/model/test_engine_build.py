import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import NoCompilerError
from almanac.model.engine import Engine
from almanac.native import library
from almanac.native.libraries import DRIFT, FEATURES, TREES
from tests.support.engine_models import SHAPES, matrix, text

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
    monkeypatch.setattr(library, "_failures", {})
    return tmp_path / "kernels"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as an image's build leaves it."""
    directory = tmp_path_factory.mktemp("image") / "kernels"
    subprocess.run([sys.executable, "-m", "almanac.native", str(directory)], check=True)
    return directory


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiler that optimises nothing, which takes a tenth of the time."""
    program = tmp_path_factory.mktemp("hasty") / "cc"
    program.write_text('#!/bin/sh\nexec cc "$@" -O0 -DDISPATCH=\n')
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def compiled(hasty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the trees' library of the hasty compiler."""
    directory = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALMANAC_KERNELS", str(directory))
        patch.setenv("CC", str(hasty))
        TREES.load()
    return directory


@needs_compiler
def test_kernels_are_compiled_once_and_whole(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMANAC_KERNELS", str(image))
    files = list(image.iterdir())
    assert [path.suffix for path in files] == [".so", ".so", ".so"]
    written = [path.stat().st_mtime_ns for path in files]
    TREES.load()
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
    assert "trees predict several times slower without compiled code: there is no C compiler" in caplog.text
    assert Engine.load(model).kind == "lightgbm"
    assert len(caplog.records) == 1
    assert list(library.failures()) == ["kernels"]
    assert not list(directory.glob("*"))
    X = matrix(beijing)[0][:20]
    np.testing.assert_array_equal(engine.predict(X), [engine.predict_row(x) for x in X])


@needs_compiler
def test_without_instructions_of_the_machine_predictions_are_the_same(
    beijing: pl.DataFrame, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other processors and compilers walk every tree, also a small one."""
    plain = replace(TREES, flags=(*TREES.flags, "-DDISPATCH="))
    monkeypatch.setattr("almanac.model.engine.compiled.TREES", plain)
    path, X = tmp_path / "model.bst", matrix(beijing)[0][:1000]
    for shape in SHAPES:
        path.write_bytes(text(shape, beijing))
        engine = Engine.load(path)
        assert engine._trees is not None, shape
        assert not engine._trees.model.jumps
        expected = lightgbm.Booster(model_file=path).predict(X, num_threads=1)
        np.testing.assert_array_equal(engine.predict(X), expected, shape)
        np.testing.assert_array_equal([engine.predict_row(x) for x in X], expected, shape)


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
    target = directory / "wrong.so"
    flags = [
        "-O1",
        "-std=gnu11",
        "-fPIC",
        "-shared",
        "-Wno-psabi",
        "-DDISPATCH=",
        f'-DSOURCE_DIGEST="{TREES.digest()}"',
    ]
    subprocess.run(
        ["cc", *flags, *(str(sources / source) for source in TREES.sources), "-o", str(target), "-lm"], check=True
    )
    target.rename(directory / TREES.file_name(target.read_bytes(), None))
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
        TREES.load()
    assert not list(directory.glob("*"))


def _of_other_sources(content: bytes) -> bytes:
    return content.replace(TREES.digest().encode(), b"0" * 64)


def _of_another_machine(content: bytes) -> bytes:
    aarch64, x86_64 = 183, 62
    other = x86_64 if int.from_bytes(content[18:20], "little") == aarch64 else aarch64
    return content[:18] + other.to_bytes(2, "little") + content[20:]  # e_machine of the ELF header


#: Contents of a library file that cannot be used, and whether the digest in the file's name is that of the content.
SPOILED: dict[str, tuple[Callable[[bytes], bytes], bool, str]] = {
    "empty": (lambda content: b"", False, "is damaged"),
    "cut": (lambda content: content[: len(content) // 2], False, "is damaged"),
    "cut when it was written": (lambda content: content[:100], True, "cannot be loaded"),
    "a changed byte": (lambda content: content[:5000] + b"?" + content[5001:], False, "is damaged"),
    "no library": (lambda content: b"not a library", True, "cannot be loaded"),
    "another machine": (_of_another_machine, True, "cannot be loaded"),
    "other sources": (_of_other_sources, True, "was compiled from other sources"),
}


def _spoil(compiled: Path, directory: Path, case: str, compiler: Path) -> str:
    """Put a spoiled library where the compiler's own would be; return why it is refused."""
    spoil, named, reason = SPOILED[case]
    (path,) = TREES.files(compiled)
    content = spoil(path.read_bytes())
    directory.mkdir(exist_ok=True)
    (directory / (TREES.file_name(content, str(compiler)) if named else path.name)).write_bytes(content)
    return reason


@needs_compiler
@pytest.mark.parametrize("case", SPOILED)
def test_a_library_that_cannot_be_used_is_compiled_anew(
    case: str, compiled: Path, directory: Path, model: Path, hasty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(compiled, directory, case, hasty)
    monkeypatch.setenv("CC", str(hasty))
    assert Engine.load(model).kind == "compiled"
    assert library.failures() == {"kernels": ""}
    whole = [path for path in TREES.files(directory) if path.read_bytes() == TREES.files(compiled)[0].read_bytes()]
    assert len(whole) == 1


@needs_compiler
@pytest.mark.parametrize("case", SPOILED)
def test_without_a_compiler_the_reason_names_the_file(
    case: str, compiled: Path, directory: Path, hasty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = _spoil(compiled, directory, case, hasty)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompilerError, match=rf"\.so {reason}.*; there is no C compiler"):
        TREES.load()
    assert reason in library.failures()["kernels"]


@needs_compiler
def test_a_directory_that_cannot_be_written_costs_a_compilation_only(
    tmp_path: Path, model: Path, hasty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", str(hasty))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ALMANAC_KERNELS", str(tmp_path / "file" / "kernels"))  # for root as well no directory
    assert Engine.load(model).kind == "compiled"
    command = [sys.executable, "-m", "almanac.native"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "kernels cannot be written" in done.stderr


@needs_compiler
def test_a_file_name_carries_the_platform(image: Path, directory: Path) -> None:
    shutil.copytree(image, directory)
    for kernels in (TREES, FEATURES, DRIFT):
        (path,) = kernels.files(directory)
        assert library.platform_tag() in path.name
        (directory / path.name.replace(library.platform_tag(), "riscv64-linux-gnu")).write_bytes(b"of another machine")
        assert kernels.files(directory) == [path]


def test_serving_does_not_import_the_training_stack(model: Path) -> None:
    """LightGBM's Python package alone costs seconds at a cold start and over 100 MB."""
    program = (
        "import sys; from pathlib import Path; from almanac.model.engine import Engine; import numpy as np;"
        f"e = Engine.load(Path({str(model)!r})); e.predict_row(np.zeros(11)); e.explain(np.zeros((1, 11)));"
        "assert not {'lightgbm', 'scipy', 'sklearn', 'pandas', 'shap'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
