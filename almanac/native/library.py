"""Compile the C libraries once for a machine, and find those that were compiled before.

The directory of compiled libraries is `ALMANAC_KERNELS` where set, else a folder of the user's cache. An image's build
compiles ahead of time, so that the image needs no compiler.
"""

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from almanac.core.commands import exit_code_of
from almanac.core.errors import NoCompilerError
from almanac.core.files import sha256_bytes, write_bytes

_COMPILE_SECONDS = 120
_compiling = threading.Lock()
_log = logging.getLogger("almanac.native")
#: Why a library is not used, by its name; empty where it is.
_failures: dict[str, str] = {}


@dataclass(frozen=True)
class Kernels:
    """C sources that are compiled to one library, which returns their digest by `almanac_source_digest()`.

    Attributes:
        name: first part of the library's file name.
        directory: directory of the sources.
        sources: files to compile.
        headers: files that they include.
        flags: flags of the compiler.
        slower: the work that is done more slowly without the library, for messages.
    """

    name: str
    directory: Path
    sources: tuple[str, ...]
    headers: tuple[str, ...]
    flags: tuple[str, ...]
    slower: str

    def load(self) -> Any:
        """Return the library, compiled anew where no file for this platform can be loaded.

        Raises:
            NoCompilerError: no file can be loaded, and there is no working C compiler.
        """
        # One compilation at a time: several models are loaded by threads, and each would start its own.
        with _compiling:
            try:
                library = self._load()
            except NoCompilerError as error:
                # Once, and not for each model and each reload.
                if not _failures.get(self.name):
                    _log.warning("%s several times slower without compiled code: %s", self.slower, error)
                _failures[self.name] = str(error)
                raise
            _failures[self.name] = ""
            return library

    def digest(self) -> str:
        """Return the sha256 of sources, headers and flags."""
        digest = hashlib.sha256(" ".join(self.flags).encode())
        for name in (*self.sources, *self.headers):
            digest.update((self.directory / name).read_bytes())
        return digest.hexdigest()

    def file_name(self, content: bytes, compiler: str | None) -> str:
        """Return the name of a compiled library: digests of source, compiler and content, and the platform."""
        return f"{self._stem()}-{_identity(compiler)}-{sha256_bytes(content)[:16]}.so"

    def _load(self) -> Any:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        directory = kernel_directory()
        refused: list[str] = []
        for path in self.files(directory, compiler):
            try:
                return self._open(path)
            except NoCompilerError as error:
                refused.append(str(error))
        if compiler is None:
            raise NoCompilerError("; ".join([*refused, "there is no C compiler (cc) on PATH and no library to load"]))
        with tempfile.TemporaryDirectory() as scratch:
            content = self._compile(compiler, Path(scratch) / "library.so")
            for place in (directory, Path(scratch)):
                path = place / self.file_name(content, compiler)
                # A directory that cannot be written costs this process a compilation, and nothing else.
                with contextlib.suppress(OSError):
                    write_bytes(path, content)
                    return self._open(path)
        raise NoCompilerError(f"the kernels could not be written to {directory}")

    def files(self, directory: Path, compiler: str | None = None) -> list[Path]:
        """Return the libraries of this source and platform in a directory, those of the compiler first.

        An image has no compiler, and its library serves as well, whichever compiler made it.
        """
        own = f"-{_identity(compiler)}-"
        paths = directory.glob(f"{self._stem()}-*.so")
        return sorted(paths, key=lambda path: (own not in path.name, path.name))

    def _stem(self) -> str:
        return f"{self.name}-{self.digest()[:16]}-{platform_tag()}"

    def _compile(self, compiler: str, output: Path) -> bytes:
        sources = [str(self.directory / name) for name in self.sources]
        digest = f'-DSOURCE_DIGEST="{self.digest()}"'
        command = [compiler, *self.flags, digest, *sources, "-o", str(output), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMPILE_SECONDS)
            return output.read_bytes()
        except subprocess.CalledProcessError as error:
            raise NoCompilerError(f"{compiler} could not compile the kernels: {error.stderr.strip()[:500]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoCompilerError(f"the kernels could not be compiled: {error}") from error

    def _open(self, path: Path) -> Any:
        try:
            content = path.read_bytes()
            # The loader maps a file without looking at all of it, and a cut one would end the process by a signal.
            if not path.stem.endswith(sha256_bytes(content)[:16]):
                raise NoCompilerError(f"{path} is damaged")
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise NoCompilerError(f"{path} cannot be loaded: {error}") from error
        library.almanac_source_digest.restype = ctypes.c_char_p
        # A file can be renamed; the digest that was compiled into it stays.
        if cast(bytes, library.almanac_source_digest()).decode() != self.digest():
            raise NoCompilerError(f"{path} was compiled from other sources")
        return library


def failures() -> dict[str, str]:
    """Return by name of each library that was asked for why it is not used; empty where compiled code runs."""
    return dict(_failures)


def platform_tag() -> str:
    """Return the machine and the system whose libraries this process can load, such as x86_64-linux-gnu."""
    # It names the C library as well (gnu or musl), which the machine's name does not.
    system = getattr(sys.implementation, "_multiarch", sys.platform)
    machine = platform.machine()
    return system if system.startswith(machine) else f"{machine}-{system}"


def kernel_directory() -> Path:
    """Return the directory in which compiled libraries are looked for and kept.

    Raises:
        NoCompilerError: none is configured, and neither the user's cache nor the temporary directory can be written.
    """
    configured = os.environ.get("ALMANAC_KERNELS")
    if configured:
        return Path(configured)
    fallback = Path(tempfile.gettempdir()) / f"almanac-{os.getuid()}"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "almanac"
    except RuntimeError:  # a user without a home, as in many containers
        cache = fallback
    if _writable(cache) and cache != fallback:
        return cache
    # A read-only root file system: a directory of this user alone, since its content will be executed.
    if not _writable(fallback) or fallback.stat().st_uid != os.getuid() or fallback.stat().st_mode & 0o022:
        raise NoCompilerError(f"neither {cache} nor {fallback} can be written; set ALMANAC_KERNELS to a directory")
    return fallback


def compile_ahead(*libraries: Kernels) -> int:
    """Compile into the directory that the command line gives, or where this user's processes look, and print it.

    Returns:
        The exit code.
    """
    if len(sys.argv) > 1:
        os.environ["ALMANAC_KERNELS"] = str(Path(sys.argv[1]).absolute())
    return exit_code_of(lambda: _compile_all(libraries))


def _compile_all(libraries: tuple[Kernels, ...]) -> None:
    directory = kernel_directory()
    for kernels in libraries:
        kernels.load()
        # `load` also succeeds from a scratch directory, which is gone by now.
        if not kernels.files(directory):
            raise NoCompilerError(f"{directory} cannot be written")
    sys.stdout.write(f"{directory}\n")


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return os.access(directory, os.W_OK)


def _identity(compiler: str | None) -> str:
    """Return a digest of the compiler's file, which changes with its version; nothing is run for it."""
    if compiler is None:
        return "none"
    real = Path(compiler).resolve()
    status = real.stat()
    return sha256_bytes(f"{real}:{status.st_size}:{status.st_mtime_ns}".encode())[:8]
