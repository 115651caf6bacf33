"""A way by tcp that leads where the test says, and may lie dead while it seems to live."""

from __future__ import annotations

import contextlib
import socket
import threading


class _Flow:
    """Whether a connection carries anything, one way."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()


class Switch:
    """Listens at `address`. A connection goes to whom it led to when it was made."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._port = 0
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self._there, self._back = _Flow(), _Flow()  # of the connections made from now on
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lead_to(self, address: str) -> None:
        """New connections go there."""
        self._port = int(address.rpartition(":")[2])

    def hold(self, *, back: bool = True) -> None:
        """What is open stays open and carries nothing from now on, or (`back` False) only what is answered."""
        with self._lock:
            there, self._there = self._there, _Flow()
            answers, self._back = self._back, _Flow()
        there.open.clear()
        if back:
            answers.open.clear()

    def cut(self) -> None:
        """What is open is closed."""
        with self._lock:
            pairs, self._open = self._open, []
        for pair in pairs:
            _shut(*pair)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                if self._ended.is_set():
                    return
                near.close()  # nobody is there: it is dialled again
                continue
            with self._lock:
                self._open.append((near, far))
                ways = [(near, far, self._there), (far, near, self._back)]
            for way in ways:
                self._threads.append(threading.Thread(target=self._carry, args=way, daemon=True))
                self._threads[-1].start()

    def _carry(self, source: socket.socket, sink: socket.socket, flow: _Flow) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while not flow.open.wait(0.02):
                    if self._ended.is_set():
                        return
                sink.sendall(data)
        _shut(source, sink)

    def __enter__(self) -> Switch:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        _shut(self._listener)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)


def _shut(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
