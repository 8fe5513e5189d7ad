"""The listening socket."""

import ctypes
import socket
import struct
import sys
from contextlib import suppress

from almanac.core.errors import ServingError

#: SO_ATTACH_FILTER, which the module socket does not name; and the flag of a packet that asks for a connection.
_ATTACH_FILTER, _SYN = 26, 0x02


def listen(host: str, port: int, fd: int | None = None) -> socket.socket:
    """Return the listening socket: a new one, or the one at the file descriptor that a supervisor passed.

    Raises:
        ServingError: the address is taken or not of this machine.
    """
    if fd is not None:
        return socket.socket(fileno=fd)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ServingError(f"--http-port {port}: {host} {error.strerror}") from error
    sock.listen(2048)
    # For the workers that the supervisor starts.
    sock.set_inheritable(True)
    return sock


def take_no_more(sock: socket.socket) -> None:
    """Let the kernel begin no further connection on a listening socket; those that have begun are completed.

    Closing the socket resets a connection that completes between the last look and the close. A packet that asks for
    one is dropped instead, so that its client asks again a second later and is refused. Does nothing elsewhere than on
    Linux, and where the filter is not allowed.
    """
    if sys.platform != "linux":
        return
    # Classic BPF (Linux, filter.txt): A := flags of the TCP header; drop where SYN is set, accept any other packet.
    program = struct.pack("HBBI" * 4, 0x30, 0, 0, 13, 0x45, 0, 1, _SYN, 0x06, 0, 0, 0, 0x06, 0, 0, 0x40000)
    instructions = ctypes.create_string_buffer(program, len(program))
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 4, ctypes.addressof(instructions)))
