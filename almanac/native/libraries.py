"""The C libraries: prediction and explanation of trees, the computation of features, and counting for drift."""

from pathlib import Path

from almanac.native.library import Kernels

_SOURCES = Path(__file__).parent

# Never -ffast-math: sums must be LightGBM's in every bit. Fused multiply-add, which GCC uses by default where the
# target has it, can only touch shap.c: the others multiply no float that they then add.
TREES = Kernels(
    name="kernels",
    directory=_SOURCES,
    sources=("kernels.c", "jumps.c", "paths.c", "shap.c", "json_rows.c"),
    headers=("kernels.h", "paths.h", "json_rows.h", "dispatch.h"),
    flags=("-O3", "-std=gnu11", "-fPIC", "-shared", "-Wno-psabi"),
    slower="trees predict",
)

# Without errno and traps a square root and a choice are single machine instructions; neither changes a result.
_EXACT = (
    *("-O3", "-std=gnu11", "-fPIC", "-shared"),
    *("-fno-fast-math", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
)

FEATURES = Kernels(
    name="features",
    directory=_SOURCES,
    sources=("rows.c", "point.c"),
    headers=("operations.h", "dispatch.h"),
    flags=_EXACT,
    slower="features are computed",
)

DRIFT = Kernels(
    name="drift",
    directory=_SOURCES,
    sources=("drift.c",),
    headers=("dispatch.h",),
    flags=_EXACT,
    slower="rows are counted for drift",
)
