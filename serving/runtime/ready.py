"""How a worker tells its supervisor that it serves."""

import os

READY_FD = "ALMANAC_READY_FD"
"""Environment variable with the number of the pipe's file descriptor."""


def say_ready() -> None:
    """Tell the supervisor, where there is one, that this worker serves."""
    text = os.environ.pop(READY_FD, None)
    if text is not None:
        os.write(int(text), b"1")
        os.close(int(text))
