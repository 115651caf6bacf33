"""The authenticator of ZeroMQ (ZAP) as decisions, and the test at start that a stranger is refused."""

from __future__ import annotations

import time
from collections.abc import Callable

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from ._errors import FailedPrecondition
from ._keys import KEY_BYTES, OwnKey, Role
from ._keys_curve import ZAP_DOMAIN, Context, protect_client, protect_server

TEST_S = 5.0


def bound_zap(context: Context) -> zmq.Socket[bytes]:
    zap = context.socket(zmq.REP)
    zap.linger = 0
    zap.bind("inproc://zeromq.zap.01")
    return zap


def answer_zap(zap: zmq.Socket[bytes], admit: Callable[[bytes], bool]) -> None:
    """Answers the requests that wait: version, request, domain, address, routing id, mechanism, key."""
    while True:
        try:
            parts = zap.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        known = len(parts) == 7 and parts[0] == b"1.0" and parts[2] == ZAP_DOMAIN and parts[5] == b"CURVE"
        yes = known and len(parts[6]) == KEY_BYTES and admit(parts[6])
        status = (b"200", b"OK", parts[6].hex().encode()) if yes else (b"400", b"this key is not allowed here", b"")
        zap.send_multipart([b"1.0", parts[1] if len(parts) > 1 else b"", *status, b""])


def test_refusal(own: OwnKey, admit: Callable[[bytes], bool]) -> None:
    """Knocks on loopback where `own` listens and `admit` decides, with a made-up key and with none; fails where either
    is let in, or is not refused in time."""
    context: Context = zmq.Context()
    try:
        with bound_zap(context) as zap, context.socket(zmq.ROUTER) as router:
            protect_server(router, own)
            router.linger = 0
            port = router.bind_to_random_port("tcp://127.0.0.1")
            for made_up in (True, False):
                seen = _knock(context, zap, f"tcp://127.0.0.1:{port}", own.public if made_up else None, admit)
                if seen is not False:
                    raise FailedPrecondition(
                        f"the self-test of keys failed: a stranger with {'a made-up' if made_up else 'no'} key "
                        f"{'was let in' if seen else 'was not refused in time'}"
                    )
    finally:
        context.destroy(linger=0)


def _knock(
    context: Context, zap: zmq.Socket[bytes], endpoint: str, server: bytes | None, admit: Callable[[bytes], bool]
) -> bool | None:
    """Whether a stranger was let in; None where neither happened in time."""
    wanted = zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED | zmq.Event.HANDSHAKE_FAILED_AUTH
    wanted |= zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    with context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.setsockopt(zmq.RECONNECT_IVL, -1)
        if server is not None:
            public, secret = zmq.curve_keypair()
            key = OwnKey("stranger", Role.CLIENT, z85.decode(public), z85.decode(secret))
            protect_client(stranger, key, server)
        monitor = stranger.get_monitor_socket(wanted)
        stranger.connect(endpoint)
        poller = zmq.Poller()
        poller.register(zap, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        until = time.monotonic() + TEST_S
        try:
            while time.monotonic() < until:
                poller.poll(100)
                answer_zap(zap, admit)
                if monitor.poll(0):
                    event = parse_monitor_message(monitor.recv_multipart())["event"]
                    return bool(event == zmq.Event.HANDSHAKE_SUCCEEDED)
            return None
        finally:
            stranger.disable_monitor()
            monitor.close(linger=0)
