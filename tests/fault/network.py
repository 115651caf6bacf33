"""A small network of its own for one test: a namespace per node and one for the scheduler, joined by veth pairs, whose
links are cut, made one-way, lossy or slow.

nft drops and rejects; delay is an iptables NFQUEUE that this process reads, since netem is not in every kernel. All
is gone once `close` returns; names carry the process id.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _run(*command: str, given: str | None = None) -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _enter(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A network namespace, known to `ip netns`."""

    def __init__(self, name: str) -> None:
        self.name = name
        _run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> None:
        _run("ip", "-n", self.name, *words)

    def run(self, *command: str, given: str | None = None) -> None:
        _run("ip", "netns", "exec", self.name, *command, given=given)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that this thread makes, and processes and threads that it starts, belong to the namespace."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            try:
                yield
            finally:
                _enter(back)
        finally:
            os.close(there)
            os.close(back)

    def close(self) -> None:
        _run("ip", "netns", "del", self.name)


class Link:
    """The way between a node and the scheduler. One fault at a time; `heal` ends it."""

    def __init__(self, hub: Namespace, node: Namespace, number: int) -> None:
        self.node = node
        self.scheduler = f"10.213.{number}.1"
        self._hub = hub
        self._end = f"wl{number}"  # at the scheduler's; the node's is "wl"
        self._table = f"faults{number}"
        self._delay: Delay | None = None
        hub.ip("link", "add", self._end, "type", "veth", "peer", "name", "wl", "netns", node.name)
        for at, device, address in ((hub, self._end, self.scheduler), (node, "wl", f"10.213.{number}.2")):
            at.ip("address", "add", f"{address}/24", "dev", device)
            at.ip("link", "set", device, "up")

    def cut(self) -> None:
        """Nothing passes, and nobody is told: a pulled cable."""
        self._filter("drop", "drop")

    def lose_to_scheduler(self) -> None:
        self._filter("accept", "drop")

    def lose_to_node(self) -> None:
        self._filter("drop", "accept")

    def lose(self, percent: int) -> None:
        """So many packets of a hundred, each way."""
        rule = f"numgen random mod 100 < {percent} drop"
        self._filter(rule, rule)

    def reset(self) -> None:
        """Whatever the node sends is answered with a reset: connections are refused, and end."""
        self._filter("accept", "meta l4proto tcp reject with tcp reset")

    def delay(self, seconds: float) -> None:
        """Each packet, each way."""
        self.heal()
        self._delay = Delay(self.node, seconds)
        for chain, way in (("INPUT", "-i"), ("OUTPUT", "-o")):
            self.node.run("iptables", "-A", chain, way, "wl", "-j", "NFQUEUE", "--queue-num", str(_QUEUE))

    def heal(self) -> None:
        for at in (self.node, self._hub):
            at.run("nft", "-f", "-", given=f"table inet {self._table}\ndelete table inet {self._table}\n")
        if self._delay is not None:
            self.node.run("iptables", "-F")
            self._delay.close()
            self._delay = None

    def _filter(self, at_node: str, at_scheduler: str) -> None:
        """What becomes of packets where they arrive: who sent them knows nothing of it."""
        self.heal()
        for at, device, rule in ((self.node, "wl", at_node), (self._hub, self._end, at_scheduler)):
            chain = f'chain in {{ type filter hook input priority 0; iifname "{device}" {rule}; }}'
            at.run("nft", "-f", "-", given=f"table inet {self._table} {{ {chain}; }}\n")

    def close(self) -> None:
        if self._delay is not None:
            self._delay.close()


class Network:
    """`links[i]` leads to node i; `hub` is where the scheduler lives."""

    def __init__(self, nodes: int) -> None:
        _require()
        self._stack = contextlib.ExitStack()
        try:
            self.hub = self._namespace("h")
            self.links = [Link(self.hub, self._namespace(f"n{number}"), number) for number in range(nodes)]
            for link in self.links:
                self._stack.callback(link.close)
        except BaseException:
            self._stack.close()
            raise

    def _namespace(self, ending: str) -> Namespace:
        made = Namespace(f"wl{os.getpid()}{ending}")
        self._stack.callback(made.close)
        return made

    def close(self) -> None:
        self._stack.close()


def _require() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    for program in ("ip", "nft", "iptables"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
    rules = "table inet t { chain c { type filter hook output priority 0; numgen random mod 100 < 5 drop; }; }"
    try:
        trial = Namespace(f"wl{os.getpid()}t")
        try:
            trial.run("nft", "-f", "-", given=rules)
            trial.run("iptables", "-A", "OUTPUT", "-j", "NFQUEUE", "--queue-num", str(_QUEUE))
        finally:
            trial.close()
    except OSError as error:
        pytest.skip(f"network namespaces with faults are not allowed here: {error}")


# ---- NFQUEUE ---------------------------------------------------------------------------------------------------------

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 2
_REQUEST = 1
_ACCEPT = 1
_CFG_CMD, _CFG_PARAMS, _CFG_LENGTH = 1, 2, 3
_PACKET_HEADER, _VERDICT_HEADER = 1, 2
_QUEUE = 1


def _message(kind: int, attribute: int, payload: bytes) -> bytes:
    size = 4 + len(payload)
    attributes = struct.pack("=HH", size, attribute) + payload + b"\0" * (-size % 4)
    body = struct.pack("=BB", 0, 0) + struct.pack(">H", _QUEUE) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST, 0, 0) + body


class Delay:
    """Reads one NFQUEUE of a namespace and lets each packet go so much later, in order."""

    def __init__(self, namespace: Namespace, seconds: float) -> None:
        self._seconds = seconds
        with namespace.entered():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._socket.send(_message(_CONFIG, _CFG_CMD, struct.pack(">BBH", 1, 0, 0)))  # bind
        self._socket.send(_message(_CONFIG, _CFG_PARAMS, struct.pack(">IB", 0, 1)))  # no contents
        self._socket.send(_message(_CONFIG, _CFG_LENGTH, struct.pack(">I", 20_000)))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What waits is dropped by the kernel, as when a slow way ends."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        waiting: list[tuple[float, int]] = []
        while not self._stop.is_set():
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                verdict = struct.pack(">II", _ACCEPT, heapq.heappop(waiting)[1])
                self._socket.send(_message(_VERDICT, _VERDICT_HEADER, verdict))
            self._socket.settimeout(min(waiting[0][0] - now, 0.01) if waiting else 0.01)
            with contextlib.suppress(TimeoutError, BlockingIOError, OSError):
                for packet in _packets(self._socket.recv(65536)):
                    heapq.heappush(waiting, (time.monotonic() + self._seconds, packet))


def _packets(data: bytes) -> Iterator[int]:
    """The ids of the packets that the kernel tells of."""
    at = 0
    while at + 20 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if size < 16:
            return
        inner = at + 20
        while kind == _PACKET and inner + 4 <= at + size:
            length, attribute = struct.unpack_from("=HH", data, inner)
            if length < 4:
                return
            if attribute == _PACKET_HEADER:
                yield struct.unpack_from(">I", data, inner + 4)[0]
            inner += (length + 3) & ~3
        at += (size + 3) & ~3
