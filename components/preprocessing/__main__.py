"""Compiles the kernel ahead of time: `python -m components.preprocessing [DIRECTORY]`."""

from components.common.kernels import compile_ahead
from components.preprocessing.execution import KERNELS

if __name__ == "__main__":
    raise SystemExit(compile_ahead(KERNELS))
