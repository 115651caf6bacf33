"""The parts beneath: futures, progress, reports, waiting to be accepted, checksums."""

from __future__ import annotations

import concurrent.futures
import ctypes.util
import io
import pickle
import random
from typing import Any

import pytest
from windlass import Code, NotFound, ResourceExhausted, StageError, StageFuture, Transfer
from windlass._errors import stage_error_of
from windlass._stage import StageRequest, report_from_body
from windlass._stage_progress import Counts, Teller, TextBar, with_rate
from windlass._stage_report import report_of_refusal
from windlass._stage_run import run_stage, submit_until_deadline
from windlass.legacy._digests import new_digest, update_zeros

TRANSFERS = [Transfer("/a", "/b"), Transfer("/c", "/d")]
DONE = {"state": "done", "bytes": 5, "files": 1, "seconds": 0.5, "engine": "uring", "checksum": "md5:00"}


def report(*states: str) -> Any:
    ends = [DONE if state == "done" else {"state": state, "error": {"code": 5, "message": "gone"}} for state in states]
    return report_from_body({"seconds": 2.0, "transfers": ends}, TRANSFERS)


def test_a_future_answers_its_report() -> None:
    future = StageFuture(lambda: None)
    future.accepted()
    assert future.running() and not future.done() and future.report is None
    future.advance(Counts(3, 10, 0, 2))
    future.end(report("done", "done"))
    assert future.result().ok and future.report is future.result()
    assert future.progress().bytes == 10
    assert not future.cancel()


def test_a_future_raises_what_failed_and_keeps_the_report() -> None:
    future = StageFuture(lambda: None)
    future.end(report("done", "failed"))
    with pytest.raises(NotFound):
        future.result()
    assert isinstance(future.exception(), StageError)
    assert future.exception().report is future.report
    assert [end.state for end in future.report.transfers] == ["done", "failed"]


def test_a_cancelled_future_is_done_only_with_the_answer() -> None:
    asked: list[int] = []
    future = StageFuture(lambda: asked.append(1))
    assert future.cancel() and future.cancel()
    assert asked == [1]
    assert not future.done() and not future.cancelled() and future.running()
    future.end(report("done", "cancelled"))
    assert future.cancelled() and future.done()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    assert future.report.transfers[0].state == "done"
    assert concurrent.futures.wait([future], 0).done == {future}


def test_a_future_that_was_asked_too_late_is_not_cancelled() -> None:
    future = StageFuture(lambda: None)
    assert future.cancel()
    future.end(report("done", "done"))
    assert not future.cancelled() and future.result().ok


def test_what_progress_raises_comes_out_of_the_future() -> None:
    asked: list[int] = []

    def progress(*_: Any) -> None:
        raise KeyError("mine")

    future = StageFuture(lambda: asked.append(1), progress)
    future.advance(Counts(1, 2, 0, 1))
    assert asked == [1]
    future.end(report("cancelled", "cancelled"))
    with pytest.raises(KeyError, match="mine"):
        future.result()


def test_a_lost_call_ends_unavailable() -> None:
    future = StageFuture(lambda: None)
    future.end(report_of_refusal(TRANSFERS, "failed", Code.UNAVAILABLE, "the daemon is gone"))
    error = future.exception()
    assert isinstance(error, StageError) and error.code == Code.UNAVAILABLE and error.retryable
    assert error.report is future.report


def test_errors_and_reports_pickle() -> None:
    error = report("done", "failed").error()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.code, again.source) == (str(error), error.code, error.source)
    assert repr(again.report) == repr(error.report)


def test_progress_never_decreases_and_comes_ten_times_a_second() -> None:
    told: list[tuple[Any, ...]] = []
    now = [100.0]
    teller = Teller(lambda *figures: told.append(figures), lambda: now[0])
    for step, counts in enumerate(
        [Counts(5, None, 0, None), Counts(9, 20, 1, 2), Counts(2, 20, 0, 2), Counts(3, 20, 2, 2)]
    ):
        now[0] = 100.0 + step * 0.1 + 0.001
        teller.tell(counts)
        teller.tell(counts)
    teller.tell_end(Counts(20, None, 2, None))
    assert told == [(5, None, 0, None), (9, 20, 1, 2), (9, 20, 1, 2), (9, 20, 2, 2), (20, 20, 2, 2)]


def test_rate_and_time_left() -> None:
    assert with_rate(Counts(50, 200, 1, 4), 5.0)[4:] == (10.0, 15.0)
    assert with_rate(Counts(0, 200, 0, 4), 5.0)[4:] == (0.0, None)
    assert with_rate(Counts(50, None, 1, None), 5.0).seconds_left is None
    assert with_rate(Counts(0, 0, 0, 0), 0.0)[4:] == (0.0, 0.0)


def test_a_bar_of_text_is_one_line_where_nobody_watches() -> None:
    stream = io.StringIO()
    bar = TextBar(stream)
    for done in (0, 50, 100):
        bar.show(Counts(done, 100, done // 100, 1))
    bar.close()
    assert stream.getvalue().count("\n") == 1
    assert "100%" in stream.getvalue() and "1/1 files" in stream.getvalue()


def refusing(times: int, answer: Any) -> Any:
    left = [times]

    def submit(_: StageRequest) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise stage_error_of(Code.RESOURCE_EXHAUSTED, "the queue is full", retryable=True, retry_after=0.01)
        return answer

    return submit


def test_a_full_queue_is_waited_for() -> None:
    assert submit_until_deadline(StageRequest([Transfer("/a", "/b")]), refusing(3, "accepted")) == "accepted"


def test_what_is_not_accepted_in_time_expires() -> None:
    transfers = [Transfer("/a", "/b", deadline=0.05)]
    found = run_stage(transfers, refusing(10**6, None), progress=None, on_error="report")
    assert [end.state for end in found.transfers] == ["expired"]
    assert "the queue is full" in str(found.transfers[0].error)


def test_another_refusal_comes_out_at_once() -> None:
    def submit(_: StageRequest) -> Any:
        raise stage_error_of(Code.RESOURCE_EXHAUSTED, "never", retryable=False)

    with pytest.raises(ResourceExhausted):
        submit_until_deadline(StageRequest([Transfer("/a", "/b")]), submit)


CHECK = b"123456789"  # what the catalogues of checksums are told for


@pytest.mark.parametrize(
    ("name", "hexadecimal"),
    [
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("md5", "25f9e794323b453885f5181f1b624d0b"),
        ("sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ],
)
def test_checksums_of_the_catalogue(name: str, hexadecimal: str) -> None:
    digest = new_digest(name)
    digest.update(CHECK)
    assert digest.hexdigest() == hexadecimal


def by_bits(data: bytes, bits: int, polynomial: int) -> str:
    ones = (1 << bits) - 1
    state = ones
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (polynomial if state & 1 else 0)
    return f"{state ^ ones:0{bits // 4}x}"


@pytest.mark.parametrize(
    ("name", "bits", "polynomial"), [("crc32c", 32, 0x82F63B78), ("crc64nvme", 64, 0x9A6C9329AC4BC9B5)]
)
def test_crcs_equal_the_plain_definition(name: str, bits: int, polynomial: int) -> None:
    choose = random.Random(7)
    for size in (0, 1, 255, 256, 257, 511, 512, 5000, 40_000):
        data = choose.randbytes(size)
        digest, at = new_digest(name), 0
        while at < size:
            step = choose.randint(1, size)
            digest.update(data[at : at + step])
            at += step
        assert digest.hexdigest() == by_bits(data, bits, polynomial)


def test_stretches_and_holes_join_as_one() -> None:
    data = random.Random(8).randbytes(3 << 20)
    for name in ("xxh3", "crc32c", "crc64nvme"):
        whole, parts = new_digest(name), new_digest(name)
        whole.update(data + bytes((1 << 20) + 3) + data[:77])
        for at in range(0, len(data), 700_001):
            parts.update(data[at : at + 700_001])
        update_zeros(parts, (1 << 20) + 3)
        parts.update(data[:77])
        assert whole.hexdigest() == parts.hexdigest()


def test_xxh3_equals_the_reference() -> None:
    path = ctypes.util.find_library("xxhash")
    if path is None:
        pytest.skip("no libxxhash here")
    reference = ctypes.CDLL(path)
    reference.XXH3_64bits.restype = ctypes.c_uint64
    reference.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    choose = random.Random(9)
    for size in [*range(260), *range(1000, 1100), 2048, 5000, 65_536, 1_000_003]:
        data = choose.randbytes(size)
        digest, cut = new_digest("xxh3"), choose.randint(0, size)
        digest.update(data[:cut])
        digest.update(data[cut:])
        assert digest.hexdigest() == f"{reference.XXH3_64bits(data, size):016x}"
