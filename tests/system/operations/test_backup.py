"""A backup of a destroyed registry and its runs is restored with nothing lost, or refused by name."""

import io
import shutil
import tarfile
import threading
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from almanac.core.errors import BackupError
from almanac.core.image import VERSION
from governance.registry import Registry
from operations.backup import create, inspect, restore
from operations.commands.backup import app
from operations.history import Origins, digest, open_history, rebuild
from tests.support.object_store import serving_s3, use_endpoint
from tests.support.operations_world import World, publish_monitoring, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = write_world(tmp_path_factory.mktemp("backup"))
    publish_monitoring(made.registry, 4)
    return made


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a directory but what a probe leaves."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def history_of(origins: Origins, folder: Path) -> str:
    engine = open_history(f"sqlite:///{folder}/of.db")
    rebuild(engine, origins)
    return digest(engine)


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_what_was_destroyed_is_restored(world: World, tmp_path: Path, name: str) -> None:
    origins = world.origins
    before = [contents_of(Path(place)) for place in (origins.registry, origins.runs, origins.log)]
    create(origins, tmp_path / name)
    new = Origins(str(tmp_path / "registry"), tmp_path / "runs", str(tmp_path / "log"))
    engine = open_history(f"sqlite:///{tmp_path}/restored.db")
    done = restore(tmp_path / name, new, engine)
    assert [contents_of(Path(place)) for place in (new.registry, new.runs, new.log)] == before
    assert done.versions == {"demo": 2}
    assert digest(engine) == done.history == history_of(origins, tmp_path)
    assert done.uncompared == ""


def test_the_history_of_an_archive_of_another_release_is_not_compared(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("operations.backup.archive.VERSION", "0.0.9")
        earlier.setattr("operations.backup.archive.digest", lambda engine: "0" * 64)
        create(world.origins, tmp_path / "earlier.tar")
    options = [f"--{name}={tmp_path / name}" for name in ("registry", "runs", "log")]
    options += ["--history", f"sqlite:///{tmp_path}/h.db"]
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "earlier.tar"), *options])
    assert "demo 2; history" in done.output, done.output
    assert "not compared, as the archive is of release 0.0.9" in done.output


def test_files_that_are_linked_are_kept_whole(world: World, tmp_path: Path) -> None:
    """As the artifacts of a real run are, which share their content."""
    runs = tmp_path / "source"
    shutil.copytree(world.runs, runs, symlinks=True)
    record = next(runs.rglob("run.json"))
    (record.parent / "copy.json").hardlink_to(record)
    create(Origins(world.registry, runs), tmp_path / "backup.tar")
    new = Origins(str(tmp_path / "registry"), tmp_path / "runs")
    restore(tmp_path / "backup.tar", new, open_history(f"sqlite:///{tmp_path}/restored.db"))
    assert contents_of(new.runs) == contents_of(runs)
    assert (new.runs / "demo" / "latest").resolve().name == max(path.name for path in runs.glob("demo/2*"))


def test_a_registry_in_a_bucket_is_moved_to_another(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(world.origins, tmp_path / "backup.tar")
    with serving_s3() as address:
        use_endpoint(monkeypatch, address)
        for bucket in ("models", "elsewhere"):
            fsspec.filesystem("s3").mkdir(bucket)
        engine = open_history(f"sqlite:///{tmp_path}/h.db")
        first = Origins("s3://models", tmp_path / "runs", str(tmp_path / "log"))
        restore(tmp_path / "backup.tar", first, engine)
        create(first, tmp_path / "again.tar")
        second = Origins("s3://elsewhere", tmp_path / "runs-2", str(tmp_path / "log-2"))
        restore(tmp_path / "again.tar", second, engine)
    assert inspect(tmp_path / "again.tar").files == inspect(tmp_path / "backup.tar").files


def test_the_commands_destroy_nothing_and_say_what_they_did(world: World, tmp_path: Path) -> None:
    archive, runner = str(tmp_path / "backup.tar.gz"), CliRunner()
    options = ["--registry", world.registry, "--runs", str(world.runs), "--log", world.log]
    made = runner.invoke(app, ["create", archive, *options])
    assert made.exit_code == 0, made.output
    assert "registry" in made.stdout
    again = runner.invoke(app, ["create", archive, *options])
    assert isinstance(again.exception, BackupError)
    assert "is whole" in runner.invoke(app, ["check", archive]).stdout.replace("whole;", "is whole;")
    full = runner.invoke(app, ["restore", archive, *options, "--history", f"sqlite:///{tmp_path}/h.db"])
    assert isinstance(full.exception, BackupError)
    assert "is not empty" in str(full.exception)


def test_an_archive_made_while_somebody_writes_holds_together(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.registry, tmp_path / "live")
    registry, stop = Registry(str(tmp_path / "live")), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            registry.set_tag("demo", 1, f"tag-{number}", "x", who="ann", why="busy")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        create(Origins(str(tmp_path / "live"), world.runs), tmp_path / "backup.tar")
    finally:
        stop.set()
        writer.join()
    new = Origins(str(tmp_path / "registry"), tmp_path / "runs")
    done = restore(tmp_path / "backup.tar", new, open_history(f"sqlite:///{tmp_path}/restored.db"))
    assert done.versions == {"demo": 2}


def test_a_damaged_archive_is_refused_and_nothing_is_written(world: World, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    create(world.origins, whole)
    assert inspect(whole).count("registry") > 10
    assert inspect(whole).release == VERSION
    data = whole.read_bytes()
    spoiled = {
        "changed": data.replace(b"first model", b"other model"),
        "cut": data[: len(data) // 2],
        "empty": b"",
        "text": b"registry",
    }
    for name, content in spoiled.items():
        path = tmp_path / f"{name}.tar"
        path.write_bytes(content)
        places = Origins(str(tmp_path / name), tmp_path / f"{name}-runs", str(tmp_path / f"{name}-log"))
        with pytest.raises(BackupError, match=f"{name}.tar"):
            restore(path, places, open_history(f"sqlite:///{tmp_path}/{name}.db"))
        assert not Path(places.registry).exists()
        assert not places.runs.exists()


@pytest.mark.parametrize(
    ("name", "kind"), [("../outside", tarfile.REGTYPE), ("/outside", tarfile.REGTYPE), ("runs/link", tarfile.SYMTYPE)]
)
def test_no_member_leaves_the_places_that_were_named(tmp_path: Path, name: str, kind: bytes) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
        archive.addfile(member, io.BytesIO(b""))
    with pytest.raises(BackupError, match="is no file of a backup"):
        inspect(tmp_path / "bad.tar")
