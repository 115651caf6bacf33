"""A relay of one tcp connection that stops midway: so much of what the client sends comes through, and no more."""

from __future__ import annotations

import contextlib
import socket
import threading


class StallingRelay:
    """`address`, tcp as `target` is. After `bytes_max` bytes the client's side is read no further, while the connection
    stays; `cut` is set once `target` has closed it."""

    def __init__(self, target: str, bytes_max: int) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = host, int(port)
        self._left = bytes_max
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = [self._listener]
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> StallingRelay:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            target = socket.create_connection(self._target)
            self._ends += [client, target]
            self._threads.append(threading.Thread(target=self._answers, args=(target, client), daemon=True))
            self._threads[1].start()
            while self._left > 0 and (chunk := client.recv(min(65536, self._left))):
                target.sendall(chunk)
                self._left -= len(chunk)

    def _answers(self, target: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := target.recv(65536):
                client.sendall(chunk)
        self.cut.set()
