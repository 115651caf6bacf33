"""What comes and goes leaves nothing behind: after tens of thousands of rounds a client, a session and a bridge hold as
many entries as after a few."""

from __future__ import annotations

from pathlib import Path

from fake import FakeDaemon, silent
from support import eventually
from windlass._channel import Channel
from windlass._errors import WindlassError
from windlass._reply import Reply
from windlass._requests import SPARE, Request, Requests
from windlass._wire import Message, Type, new_id


def request(timeout: float | None, lasting: bool = False) -> Request:
    return Request(new_id(), Type.MATCH, {}, (), Reply(), timeout, lasting)


# ---- A client's requests ---------------------------------------------------------------------------------------------


def test_requests_that_were_answered_leave_no_deadline():
    requests = Requests()
    waiting = [request(3600.0) for _ in range(100)]
    for each in waiting:
        requests.add(each, 0.0)
    for turn in range(30_000):
        each = request(3600.0, lasting=turn % 3 == 0)
        requests.add(each, turn * 1e-3)
        if turn % 6 == 0:
            requests.advance(each.id, {}, turn * 1e-3)
        requests.end(each.id, WindlassError("no"))
        assert len(requests._deadlines) <= 2 * len(requests) + SPARE + 2
    assert len(requests) == 100
    assert requests.next_moment() == 3600.0
    assert requests.silent(3599.0) == []
    late = requests.silent(3600.0)
    assert {each.id for each in late} == {each.id for each in waiting} and len(late) == 100, "each once"


def test_requests_given_up_before_they_were_sent_leave_no_place_in_line(tmp_path: Path):
    def welcome(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        body = {"version": 1, "name": "fake", "incarnation": "0" * 16}
        credits = {"features": ["credits"], "credit_requests": 1, "credit_bytes": 1000}
        daemon.reply(routing, message, Type.WELCOME, body | credits)

    with FakeDaemon(f"ipc://{tmp_path}/daemon", {Type.HELLO: welcome, Type.MATCH: silent}) as daemon:
        channel = Channel(daemon.endpoint)
        try:
            channel.submit(Type.MATCH, {}, Reply(), timeout=3600)
            eventually(lambda: Type.MATCH in daemon.kinds())
            channel.submit(Type.MATCH, {}, Reply(), timeout=3600)  # waits for the first, and others behind it
            for turn in range(5_000):
                reply = Reply()
                channel.abandon(channel.submit(Type.MATCH, {}, reply, timeout=3600))
                if turn % 100 == 99:
                    assert isinstance(reply.exception(30), WindlassError)
            assert len(channel._requests) == 2
            assert len(channel._waiting) <= 2 * 3 + SPARE
        finally:
            channel.close()
