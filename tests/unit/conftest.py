"""Quick tests of many small models and tables, by two processes on two cores."""

import gc
import os

# The threads of a tiny training would only wait for each other's, and for those of the other process.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Leave what the imports made out of every later collection of garbage, which would look at all of it again."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 50)
