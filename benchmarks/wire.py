"""Servers and clients that speak over sockets, for benchmarks of the conversation: one script for all of them.

The clients are C++ programs (`benchmarks/peers/wire`, built when they are first used), so that they are not what is
measured. They are told by a script, as bytes, what to say and what has to come back. To windlassd that is HELLO and a
MATCH of four tasks, whose answer was compared with `windlass.legacy` when the script was made; to an echo, the same
bytes, which come back.
"""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import windlass
import zmq
from windlass import _match, _wire
from windlass._local_node import find_windlassd
from windlass._match_remote import decode_placement, encode_problem
from windlass._problem import Placement, Problem
from windlass._wire import Header, Message, Type

from benchmarks import shapes
from benchmarks.harness import CannotRun, Peer, WrongAnswer

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE.parent / "build" / "peers"
SEED = 20
TASKS, OFFERS = 4, 8
_ID = bytes(range(65, 81))  # stands where the id of each request is written
_SERVERS = {"windlass": None, "cppzmq-echo": "echo_zmq", "epoll-echo": "echo_epoll"}

Frames = list[bytes]


@dataclass
class Server:
    """`script` is a file for the programs that speak to it."""

    who: str
    pid: int
    address: str
    script: Path


@functools.cache
def program(name: str) -> Path:
    """A program of `benchmarks/peers/wire`, built where it is not."""
    done = subprocess.run([HERE / "peers" / "wire" / "build"], capture_output=True, text=True)
    if done.returncode != 0 and not (PROGRAMS / name).exists():
        lines = done.stderr.strip().splitlines() or ["?"]
        raise CannotRun(f"{name} cannot be built; it needs g++ and, for the echo, cppzmq: {lines[0]}")
    return PROGRAMS / name


def absent(who: str) -> str | None:
    """Why a server can't be had."""
    name = _SERVERS[who]
    try:
        if name is None:
            find_windlassd()
        else:
            program(name)
    except (CannotRun, windlass.NotFound) as error:
        return str(error)
    return None


def chosen(names: tuple[str, ...], who: list[str] | None, told: dict[str, list[Any]]) -> list[Peer]:
    """The peers of these names that `who` picks; what those that can be had answer goes into `told`, by name."""
    peers = [Peer(name, absent=absent(name)) for name in names if not who or name.startswith(tuple(who))]
    for peer in peers:
        if peer.absent is None:
            peer.check = told.setdefault(peer.who, []).append
    return peers


@contextlib.contextmanager
def serve(who: str, transport: str, folder: Path) -> Iterator[Server]:
    """A server of this kind, on `tcp` or `ipc`, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"{who}.script"
    if who == "windlass":
        with windlass.LocalNode() as node:
            address = node.address if transport == "ipc" else node.tcp_address
            assert address is not None and node.pid is not None
            script.write_text(_script("zmtp", *_conversation(address)))
            yield Server(who, node.pid, address, script)
        return
    hello, _, request = _said()
    speak = "zmtp" if who == "cppzmq-echo" else "bytes"
    script.write_text(_script(speak, hello, hello, request, request))
    listen = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{folder}/{who}.sock"
    if who == "epoll-echo":
        listen = listen.replace("*", "0")
    command = [str(program(str(_SERVERS[who]))), listen]
    # In a session of its own, as LocalNode starts the daemon: the system shares cores among sessions first.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            yield Server(who, process.pid, process.stdout.readline().strip(), script)
        finally:
            process.kill()


def ask(server: Server, clients: int, requests: int, rate: float = 0.0) -> dict[str, Any]:
    """What `rpc` tells of a run: seconds, rate, percentiles. WrongAnswer where one was wrong, lost or came twice."""
    words = [program("rpc"), server.script, server.address, clients, requests, rate]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise WrongAnswer(f"{server.who}: {done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


# ---- The script ------------------------------------------------------------------------------------------------------


def _said() -> tuple[Frames, Problem, Frames]:
    """HELLO, and the match both as a problem and as the frames of its MATCH."""
    made: list[Problem] = []

    def keep(problem: Problem) -> Placement:
        made.append(problem)
        return windlass.legacy.place(problem)

    _match.solve(shapes.tasks(TASKS, SEED), shapes.offers(OFFERS, SEED), backend=keep, fallback=False)
    body, columns = encode_problem(made[0])
    hello = {"role": "client", "versions": [1, 1], "features": [], "software": "benchmark", "pid": 1}
    said = Message(Header(Type.HELLO, _ID), hello), Message(Header(Type.MATCH, _ID), body, tuple(columns))
    greeting, request = ([bytes(frame) for frame in _wire.encode(message)] for message in said)
    return greeting, made[0], request


def _conversation(address: str) -> tuple[Frames, Frames, Frames, Frames]:
    """HELLO and WELCOME, MATCH and RESULT with this daemon. The answer is compared with the one in Python."""
    hello, problem, request = _said()
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(address)
    try:
        answers = []
        for frames in (hello, request):
            socket.send_multipart(frames)
            if not socket.poll(10_000):
                raise CannotRun(f"the daemon at {address} does not answer")
            answers.append(socket.recv_multipart())
    finally:
        socket.close()
        context.term()
    ours, exact = decode_placement(_wire.decode(answers[1]), problem), windlass.legacy.place(problem)
    if ours.offer_index.tolist() != exact.offer_index.tolist() or ours.order.tolist() != exact.order.tolist():
        raise WrongAnswer("windlassd places otherwise than windlass.legacy")
    return hello, answers[0], request, answers[1]


def _script(speak: str, hello: Frames, welcome: Frames, request: Frames, answer: Frames) -> str:
    asked, told = zmtp(request), zmtp(answer)
    lines = {
        "speak": speak,
        "hello": zmtp(hello).hex(),
        "welcome_bytes": len(zmtp(welcome)),
        "request": asked.hex(),
        "request_id_at": asked.index(_ID),
        "answer": told.hex(),
        "answer_id_at": told.index(_ID),
    }
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def zmtp(frames: Frames) -> bytes:
    """A message as it stands on the wire of ZeroMQ."""
    out = b""
    for number, frame in enumerate(frames):
        flags = (number + 1 < len(frames)) | (2 if len(frame) > 255 else 0)
        out += bytes([flags]) + len(frame).to_bytes(8 if len(frame) > 255 else 1, "big") + frame
    return out
