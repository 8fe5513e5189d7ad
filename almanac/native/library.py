"""Compiles C kernels once for a machine, and finds what was compiled before.

The directory of compiled kernels is `ALMANAC_KERNELS` where set, else a folder of the user's cache. An image's build
compiles ahead of time, so that the image needs no compiler.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from almanac.core.errors import AlmanacError, NoCompilerError
from almanac.core.files import whole_file

_COMPILE_SECONDS = 120
_compiling = threading.Lock()


@dataclass(frozen=True)
class Kernels:
    """C sources that are compiled to one library, which tells their digest: `almanac_source_digest()`.

    Attributes:
        name: what the library's file is called after.
        directory: where the sources lie.
        sources: files to compile.
        headers: files that they include.
        flags: of the compiler.
    """

    name: str
    directory: Path
    sources: tuple[str, ...]
    headers: tuple[str, ...]
    flags: tuple[str, ...]

    def load(self) -> Any:
        """Return the compiled kernels, compiling them at first use.

        Raises:
            NoCompilerError: nothing was compiled before and there is no working C compiler, or no directory to write
                to.
        """
        with _compiling:
            compiler = shutil.which(os.environ.get("CC", "cc"))
            digest = self.digest()
            directory = kernel_directory()
            path = directory / self._file(digest, compiler)
            if not path.is_file():
                # An image has no compiler: what was built there with another one serves as well, the sources being
                # the same.
                path = next(iter(sorted(directory.glob(f"{self.name}-{digest[:16]}-*.so"))), path)
            if not path.is_file():
                self._compile(path, compiler, digest)
            return _open(path, digest)

    def digest(self) -> str:
        """Return the sha256 of sources, headers and flags."""
        digest = hashlib.sha256(" ".join(self.flags).encode())
        for name in (*self.sources, *self.headers):
            digest.update((self.directory / name).read_bytes())
        return digest.hexdigest()

    def _compile(self, path: Path, compiler: str | None, digest: str) -> None:
        """Compile the sources to `path`, which then is whole or absent."""
        if compiler is None:
            raise NoCompilerError("there is no C compiler (cc) on PATH and no kernels compiled before")
        try:
            with whole_file(path) as aside:
                sources = [str(self.directory / name) for name in self.sources]
                command = [compiler, *self.flags, f'-DSOURCE_DIGEST="{digest}"', *sources, "-o", str(aside), "-lm"]
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMPILE_SECONDS)
        except subprocess.CalledProcessError as error:
            raise NoCompilerError(f"{compiler} could not compile the kernels: {error.stderr.strip()[:500]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoCompilerError(f"the kernels could not be compiled to {path}: {error}") from error

    def _file(self, digest: str, compiler: str | None) -> str:
        """File name by digest of source and of compiler, whose own file tells its version without running it."""
        identity = "none"
        if compiler is not None:
            real = Path(compiler).resolve()
            status = real.stat()
            identity = f"{real}:{status.st_size}:{status.st_mtime_ns}"
        return f"{self.name}-{digest[:16]}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}.so"


def kernel_directory() -> Path:
    """Return the directory in which compiled kernels are looked for and kept.

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
    # A read-only root file system: a directory of this user alone, since what lies in it will be executed.
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
    try:
        for kernels in libraries:
            kernels.load()
        sys.stdout.write(f"{kernel_directory()}\n")
    except AlmanacError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return os.access(directory, os.W_OK)


def _open(path: Path, digest: str) -> Any:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise NoCompilerError(f"{path} cannot be loaded: {error}") from error
    library.almanac_source_digest.restype = ctypes.c_char_p
    if cast(bytes, library.almanac_source_digest()).decode() != digest:
        raise NoCompilerError(f"{path} was compiled from other sources; delete it")
    return library
