"""Quick tests of many small models and tables, by two processes on two cores."""

import os

# The threads of a tiny training would only wait for each other's, and for those of the other process.
os.environ.setdefault("OMP_NUM_THREADS", "1")
