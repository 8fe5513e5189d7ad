"""The kernels of the server, compiled at first use.

`python -m almanac.native [DIRECTORY]` compiles ahead of time, as an image build does; a server then finds the
library without a compiler.
"""

import ctypes
from typing import Any

from almanac.native.libraries import TREES


def load_library() -> Any:
    """Return the compiled kernels, compiling them at first use.

    Raises:
        NoCompilerError: nothing was compiled before and there is no working C compiler, or no directory to write to.
    """
    library = TREES.load()
    library.almanac_predict_row.restype = ctypes.c_double
    return library


def source_digest() -> str:
    """Return the sha256 of sources, headers and flags."""
    return TREES.digest()
