"""The compiled kernels of features and drift."""

from collections.abc import Iterator

from almanac.features.compiler.execute import kernel
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, ok, warning


def _look(_: Patient) -> Iterator[Finding]:
    if kernel() is None:
        yield warning("features are computed by the slow engine", "install a C compiler (gcc), or use the images")
    else:
        yield ok("the compiled kernels load")


KIND = Check("kernels", "Are features computed by the compiled kernels?", _look)
