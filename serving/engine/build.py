"""The kernels of the server, compiled at first use.

`python -m serving.engine [DIRECTORY]` compiles ahead of time, as an image build does; a server then finds the
library without a compiler.
"""

import ctypes
from pathlib import Path
from typing import Any

from components.common.kernels import Kernels

# Never -ffast-math: sums must be LightGBM's in every bit. Fused multiply-add, which GCC uses by default where the
# target has it, can only touch shap.c: kernels.c multiplies nothing that it then adds.
KERNELS = Kernels(
    name="kernels",
    directory=Path(__file__).parent,
    sources=("kernels.c", "paths.c", "shap.c"),
    headers=("kernels.h", "paths.h"),
    flags=("-O3", "-std=gnu11", "-fPIC", "-shared", "-Wno-psabi"),
)


def load_library() -> Any:
    """Return the compiled kernels, compiling them at first use.

    Raises:
        NoCompilerError: nothing was compiled before and there is no working C compiler, or no directory to write to.
    """
    library = KERNELS.load()
    library.almanac_predict_row.restype = ctypes.c_double
    return library


def source_digest() -> str:
    """Return the sha256 of sources, headers and flags."""
    return KERNELS.digest()
