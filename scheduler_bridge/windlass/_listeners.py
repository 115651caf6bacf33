"""The listeners of this process, which a forked child does not keep, nor the connections that they accepted.

A child inherits their descriptors, but not the thread that serves them. Kept open there they would keep the port taken
after the bridge has closed or died, and its nodes would see no end of their connections and dial again into a backlog
that nobody accepts. So the child closes them, and does no more than that: a shutdown would end the parent's too.
ZeroMQ made those sockets; the child tells them by their own address, which none but they have, at a moment when no
other thread of it is there to open anything. Children that C code forks without a word to Python keep everything.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time

import zmq

from ._errors import Unavailable

CLOSING_S = 2.0  # what a child may take until it runs and has closed what it is not to keep
_RETRY_S = 0.01
_WILDCARDS = ("0.0.0.0", "::")


class _Listeners:
    def __init__(self) -> None:
        self.addresses: set[tuple[str, int]] = set()  # host and port
        self.forked_at = -CLOSING_S

    def note_fork(self) -> None:
        self.forked_at = time.monotonic()

    def close_in_child(self) -> None:
        if not self.addresses:
            return
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # that of the listing itself is closed by now
                if self._has(int(name)):
                    os.close(int(name))
        self.addresses.clear()  # what the child binds is its own

    def _has(self, fd: int) -> bool:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        found = socket.socket(fileno=fd)
        try:
            if found.family not in (socket.AF_INET, socket.AF_INET6) or found.type != socket.SOCK_STREAM:
                return False
            host, port = found.getsockname()[:2]
        finally:
            found.detach()
        return any((where, port) in self.addresses for where in (host, *_WILDCARDS))


_LISTENERS = _Listeners()
os.register_at_fork(after_in_parent=_LISTENERS.note_fork, after_in_child=_LISTENERS.close_in_child)


def bind(router: zmq.Socket[bytes], endpoint: str) -> str:
    """Binds to `tcp://HOST:PORT` and answers the real address, numbers and the port filled in."""
    while True:
        try:
            router.bind(endpoint)
            break
        except zmq.ZMQError as error:
            why = str(error.strerror)
            if error.errno == errno.EADDRINUSE:
                if time.monotonic() - _LISTENERS.forked_at < CLOSING_S:  # that child may have it still
                    time.sleep(_RETRY_S)
                    continue
                why += "; `ss -ltnp` shows what has that port"
            raise Unavailable(f"a bridge cannot be bound to {endpoint}: {why}", retryable=False) from None
    address = router.getsockopt_string(zmq.LAST_ENDPOINT)
    _LISTENERS.addresses.add(_host_and_port(address))
    return address


def closed(address: str) -> None:
    """The listener and its connections are closed, if there were any: what has the address from now on is another's."""
    if address:
        _LISTENERS.addresses.discard(_host_and_port(address))


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host.strip("[]").partition("%")[0], int(port)
