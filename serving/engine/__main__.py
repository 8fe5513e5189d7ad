"""Compiles the kernels ahead of time: `python -m serving.engine [DIRECTORY]`."""

from components.common.kernels import compile_ahead
from serving.engine.build import KERNELS

if __name__ == "__main__":
    raise SystemExit(compile_ahead(KERNELS))
