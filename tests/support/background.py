"""Servers of the standard library, which answer in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import TCPServer

#: Seconds after which a server notices that it shall end: half a second, the library's own, is longer than most tests.
_LOOKS = 0.01


@contextmanager
def in_background(server: TCPServer) -> Iterator[str]:
    """Let a server answer on loopback; yield its URL."""
    thread = threading.Thread(target=server.serve_forever, args=(_LOOKS,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
