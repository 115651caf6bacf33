"""What a Client does with daemons that are missing, silent, sudden or odd; the daemon is a thread here."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import windlass
from fake import FakeDaemon, answer_to_match, refusing, silent
from support import eventually, fallbacks, held, own_threads, problem, same
from windlass import _wire, legacy
from windlass._wire import Header, Message, Type

pytestmark = pytest.mark.usefixtures("nothing_is_left")
TASKS, OFFERS = problem(60, 50)


def matches_by_fallback(client: windlass.Client) -> None:
    before = fallbacks()
    result = client.match(TASKS, OFFERS)
    assert fallbacks() == before + 1
    assert same(result, legacy.match(TASKS, OFFERS), TASKS)


def test_a_match_goes_through_the_daemon_and_equals_legacy(socket: str):
    with FakeDaemon(socket) as daemon, windlass.Client(socket) as client:
        before = fallbacks()
        for options in ({}, {"mode": "packing"}, {"policy": "worst_fit", "ties": "swap_remove"}, {"max_score": 0.5}):
            assert same(client.match(TASKS, OFFERS, **options), legacy.match(TASKS, OFFERS, **options), TASKS)
        pairs = client.match_tasks_to_offers(TASKS, OFFERS)
        assert pairs == legacy.match_tasks_to_offers(TASKS, OFFERS)
        assert fallbacks() == before
        assert daemon.kinds().count(Type.HELLO) == 1


def test_a_missing_daemon_is_found_out_at_once(socket: str):
    with windlass.Client(socket) as client:
        begun = time.monotonic()
        matches_by_fallback(client)
        assert time.monotonic() - begun < 1.0
        with pytest.raises(windlass.Unavailable) as refused:
            client.load()
        assert refused.value.retryable


def test_a_refused_tcp_port_is_found_out_at_once():
    with windlass.Client("tcp://127.0.0.1:1") as client:
        begun = time.monotonic()
        matches_by_fallback(client)
        assert time.monotonic() - begun < 2.0


def test_an_address_that_cannot_be_dialled_is_said():
    with windlass.Client("tcp://*:5") as client, pytest.raises(windlass.Unavailable):
        client.load()


def test_a_daemon_that_says_nothing_to_hello_is_found_out(socket: str):
    with FakeDaemon(socket, {Type.HELLO: silent}), windlass.Client(socket, timeout=0.2) as client:
        matches_by_fallback(client)


def test_silence_past_the_deadline_falls_back_and_takes_the_request_back(socket: str):
    with FakeDaemon(socket, {Type.MATCH: silent}) as daemon, windlass.Client(socket, timeout=0.2) as client:
        matches_by_fallback(client)
        match = next(message for message in daemon.seen if message.header.type == Type.MATCH)
        assert match.header.deadline_ms is not None and 0 < match.header.deadline_ms <= 200
        cancel = eventually(lambda: next((m for m in daemon.seen if m.header.type == Type.CANCEL), None))
        assert cancel.body == {"request": match.header.id}
        with pytest.raises(windlass.DeadlineExceeded):
            client.call(Type.MATCH, {})


@pytest.mark.parametrize("code", [12, 13, 14])
def test_a_daemon_that_cannot_answer_is_replaced_by_legacy(socket: str, code: int):
    with FakeDaemon(socket, {Type.MATCH: refusing(code)}), windlass.Client(socket) as client:
        matches_by_fallback(client)


def test_an_error_of_the_request_itself_does_not_fall_back(socket: str):
    fault = refusing(3, "tasks[2].cpu is odd", side="tasks", row=2, field="amounts.0")
    with FakeDaemon(socket, {Type.MATCH: fault}), windlass.Client(socket) as client:
        before = fallbacks()
        with pytest.raises(windlass.InvalidArgument) as refused:
            client.match(TASKS, OFFERS)
        assert (refused.value.side, refused.value.row) == ("tasks", 2)
        with pytest.raises(windlass.InvalidArgument):
            client.match([{"name": "t", "resources": {"cpu": -1}}], OFFERS)
        with pytest.raises(TypeError):
            client.match(TASKS, OFFERS, polcy="best_fit")
        assert fallbacks() == before


def test_a_full_daemon_says_when_to_come_again(socket: str):
    full = refusing(8, "full", retryable=True, retry_after_ms=250)
    with FakeDaemon(socket, {Type.MATCH: full}), windlass.Client(socket) as client:
        with pytest.raises(windlass.ResourceExhausted) as refused:
            client.match(TASKS, OFFERS)
        assert refused.value.retryable and refused.value.retry_after == 0.25


def test_a_daemon_of_another_version_is_too_old(socket: str):
    refusal = refusing(9, "versions 2 to 3 are spoken here, you speak 1 to 1")
    with FakeDaemon(socket, {Type.HELLO: refusal}), windlass.Client(socket) as client:
        matches_by_fallback(client)
        with pytest.raises(windlass.Unimplemented):
            client.load()


def test_a_daemon_that_ends_in_the_middle_is_noticed_and_its_successor_served(socket: str):
    with windlass.Client(socket) as client:
        daemon = FakeDaemon(socket, {Type.MATCH: lambda d, *_: d._stop.set()})
        begun = time.monotonic()
        matches_by_fallback(client)
        assert time.monotonic() - begun < 2.0
        daemon.stop()
        with FakeDaemon(socket) as successor:
            before = fallbacks()
            assert same(client.match(TASKS, OFFERS), legacy.match(TASKS, OFFERS), TASKS)
            assert fallbacks() == before
            assert successor.kinds() == [Type.HELLO, Type.MATCH]


def test_who_is_told_to_say_hello_first_does_and_asks_again(socket: str):
    with FakeDaemon(socket) as daemon, windlass.Client(socket) as client:
        client.load()
        daemon.forget_everybody()
        assert client.load().sequence == 7
        assert daemon.kinds() == [Type.HELLO, Type.LOAD, Type.LOAD, Type.HELLO, Type.LOAD]


def spoil(change):
    def answer(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        body, columns = answer_to_match(request)
        change(body, columns)
        daemon.reply(routing, request, Type.RESULT, body, columns)

    return answer


def _one_less(body, columns):
    columns[0] = columns[0][1:]
    body["columns"] = _wire.declare(columns)


def _other_type(body, columns):
    columns[0] = columns[0].astype(np.int64)
    body["columns"] = _wire.declare(columns)


def _replaced(number: int, values):
    def change(body, columns):
        columns[number] = values(columns[number])

    return change


SPOILT = {
    "a short column": _one_less,
    "a column of another type": _other_type,
    "an offer that does not exist": _replaced(0, lambda column: np.full_like(column, len(OFFERS))),
    "an offer below -1": _replaced(0, lambda column: np.full_like(column, -2)),
    "one offer for all": _replaced(0, np.zeros_like),
    "a task twice in the order": _replaced(1, np.zeros_like),
    "a task that does not exist": _replaced(1, lambda column: column + 1),
    "no order": lambda body, columns: body.pop("order"),
    "a column number that does not exist": lambda body, columns: body.update(order=99),
    "a column number that is no number": lambda body, columns: body.update(order="1"),
    "a negative column number": lambda body, columns: body.update(order=-1),
}


@pytest.mark.parametrize("change", SPOILT.values(), ids=SPOILT.keys())
def test_answers_that_cannot_be_right_are_not_believed(socket: str, change):
    with FakeDaemon(socket, {Type.MATCH: spoil(change)}), windlass.Client(socket) as client:
        matches_by_fallback(client)


def test_answers_that_are_no_messages_end_the_call(socket: str):
    def answer(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        header = bytes(_wire.encode(Message(Header(Type.RESULT, request.header.id)))[0])
        daemon.send_raw(routing, b"\xc1")
        daemon.send_raw(routing, header, b"\xdd\xff\xff\xff\xff")

    with FakeDaemon(socket, {Type.MATCH: answer}), windlass.Client(socket) as client:
        matches_by_fallback(client)


def test_many_threads_share_one_client(socket: str):
    with FakeDaemon(socket) as daemon, windlass.Client(socket) as client:
        want = legacy.match(TASKS, OFFERS)
        wrong: list[object] = []

        def work() -> None:
            for _ in range(10):
                if not same(client.match(TASKS, OFFERS), want, TASKS):
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert daemon.kinds().count(Type.HELLO) == 1


def test_a_closed_client_refuses_and_closing_ends_what_waits(socket: str):
    with FakeDaemon(socket, {Type.MATCH: silent}) as daemon:
        client = windlass.Client(socket)
        ended: list[BaseException] = []

        def wait() -> None:
            try:
                client.match(TASKS, OFFERS)
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        eventually(lambda: Type.MATCH in daemon.kinds())
        client.close()
        thread.join(5)
        assert [type(error) for error in ended] == [windlass.Cancelled]
        eventually(lambda: Type.BYE in daemon.kinds(), what="BYE")
        with pytest.raises(windlass.FailedPrecondition):
            client.load()
        client.close()


def test_a_forgotten_client_leaves_nothing(socket: str):
    with FakeDaemon(socket):
        client = windlass.Client(socket)
        client.load()
        del client
        eventually(lambda: own_threads() == [])


def test_a_forked_child_is_refused_and_the_parent_goes_on(socket: str):
    with FakeDaemon(socket), windlass.Client(socket) as client:
        client.load()
        child = os.fork()
        if child == 0:
            try:
                client.load()
            except windlass.FailedPrecondition:
                client.close()
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert client.load().sequence == 7


def test_a_thousand_opens_and_closes_leave_nothing(socket: str):
    with FakeDaemon(socket):
        before = held()
        for _ in range(1000):
            with windlass.Client(socket) as client:
                client.load()
        eventually(lambda: held() <= before, what="nothing is left")


def test_what_is_not_served_is_refused_by_its_name(socket: str):
    with windlass.Client(socket) as client:
        for name, call in {
            "open": lambda: client.open("/x"),
            "fetch_ranges": lambda: client.fetch_ranges("/x", []),
            "unpin": lambda: client.unpin("/x"),
        }.items():
            with pytest.raises(windlass.Unimplemented, match=name):
                call()


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("", {}),
        ("http://x", {}),
        ("tcp://nohost", {}),
        ("tcp://h:99999", {}),
        ("/" + "x" * 108, {}),
        ("/tmp/s", {"timeout": 0}),
        ("/tmp/s", {"timeout": float("nan")}),
        ("/tmp/s", {"stage_fallback": "copy"}),
    ],
)
def test_odd_arguments_are_refused(address: str, options: dict):
    with pytest.raises(windlass.InvalidArgument):
        windlass.Client(address, **options)


def test_where_the_daemon_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("WINDLASS_LOCAL__SOCKET", raising=False)
    (tmp_path / "windlass.sock").touch()
    assert windlass.Client().address == f"ipc://{tmp_path}/windlass.sock"
    monkeypatch.setenv("WINDLASS_LOCAL__SOCKET", "/run/other.sock")
    assert windlass.Client().address == "ipc:///run/other.sock"
    assert windlass.Client(tmp_path / "x").address == f"ipc://{tmp_path}/x"
    assert windlass.Client("ipc:///a/b").address == "ipc:///a/b"
    assert windlass.Client("tcp://127.0.0.1:5").address == "tcp://127.0.0.1:5"
