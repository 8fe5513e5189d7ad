"""Compile the C libraries ahead of time, as an image build does: `python -m almanac.native [DIRECTORY]`."""

from almanac.native.libraries import DRIFT, FEATURES, TREES
from almanac.native.library import compile_ahead

if __name__ == "__main__":
    raise SystemExit(compile_ahead(TREES, FEATURES, DRIFT))
