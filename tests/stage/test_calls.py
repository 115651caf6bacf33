"""Calls as a whole: the report, errors, progress, deadlines, priorities, cancelling."""

from __future__ import annotations

import datetime
import itertools
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from conftest import Stager, written
from windlass import Code, StageError, Transfer, Unimplemented

FIELDS = {
    "source": object,
    "target": object,
    "state": str,
    "bytes": int,
    "files": int,
    "seconds": float,
    "engine": str,
    "resumed_bytes": int,
    "from_cache": bool,
    "retries": int,
}


def test_the_report_tells_all_in_the_order_of_the_request(stager: Stager, folder: Path) -> None:
    sources = [written(folder / f"s{n}", b"x" * n * 1000) for n in range(1, 6)]
    report = stager.stage(
        [Transfer(source, folder / f"t/{source.name}", priority=n) for n, source in enumerate(sources)]
    )
    assert report.ok
    assert (report.bytes, report.files) == (15_000, 5)
    assert isinstance(report.seconds, float) and report.seconds > 0
    assert report.rate == pytest.approx(15_000 / report.seconds)
    assert [end.source for end in report.transfers] == sources
    for end in report.transfers:
        for name, kind in FIELDS.items():
            assert isinstance(getattr(end, name), kind)
        assert end.seconds <= report.seconds
        assert (end.checksum, end.resumed_bytes, end.from_cache, end.retries, end.error) == (None, 0, False, 0, None)


def test_nothing_to_do_is_done(stager: Stager) -> None:
    report = stager.stage([])
    assert report.ok
    assert list(report.transfers) == []
    assert (report.bytes, report.files) == (0, 0)


def test_raise_tells_of_the_first_in_the_list_once_all_have_ended(stager: Stager, folder: Path) -> None:
    good = written(folder / "good", b"x")
    transfers = [
        Transfer(good, folder / "t0"),
        Transfer(folder / "missing", folder / "t1"),
        Transfer(good, folder / "t2", size=7),
        Transfer(good, folder / "t3"),
    ]
    with pytest.raises(StageError) as caught:
        stager.stage(transfers)
    error = caught.value
    assert (error.code, error.source, error.target) == (Code.NOT_FOUND, folder / "missing", folder / "t1")
    assert [end.state for end in error.report.transfers] == ["done", "failed", "failed", "done"]
    assert error.report.transfers[2].error.code == Code.DATA_LOSS
    assert (folder / "t3").read_bytes() == b"x"


def test_report_only_reports(stager: Stager, folder: Path) -> None:
    report = stager.stage([Transfer(folder / "missing", folder / "t")], on_error="report")
    assert not report.ok
    assert report.transfers[0].error.code == Code.NOT_FOUND
    assert not report.transfers[0].error.retryable


@pytest.mark.parametrize("on_error", ["ignore", None, "", True])
def test_another_on_error_is_refused(stager: Stager, folder: Path, on_error: object) -> None:
    with pytest.raises(ValueError):
        stager.stage([Transfer(written(folder / "s", b"x"), folder / "t")], on_error=on_error)
    assert not (folder / "t").exists()


def test_one_malformed_field_refuses_the_whole_call(stager: Stager, folder: Path) -> None:
    good = written(folder / "good", b"x")
    with pytest.raises(StageError) as caught:
        stager.stage(
            [Transfer(good, folder / "t0"), Transfer(good, folder / "t1", durability="very")], on_error="report"
        )
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert isinstance(caught.value, ValueError)
    assert (caught.value.source, caught.value.target) == (good, folder / "t1")
    assert not (folder / "t0").exists()


@pytest.mark.parametrize("source", ["http://127.0.0.1:1/x", "s3://bucket/key", "windlass://node/path"])
def test_what_is_not_served_is_refused_by_name(stager: Stager, folder: Path, source: str) -> None:
    good = written(folder / "good", b"x")
    with pytest.raises(Unimplemented, match=source.partition(":")[0]):
        stager.stage([Transfer(good, folder / "t0"), Transfer(source, folder / "t1")])
    assert not (folder / "t0").exists()


def test_cache_and_pin_do_nothing_in_process(stager: Stager, folder: Path) -> None:
    source = written(folder / "s", b"x")
    if stager.rooted:
        with pytest.raises(Unimplemented, match=r"cache|pin"):
            stager.stage([Transfer(source, folder / "t", cache=True, pin=True)])
    else:
        assert not stager.one(source, folder / "t", cache=True, pin=True).from_cache
        assert (folder / "t").read_bytes() == b"x"


def test_progress_keeps_its_rules(stager: Stager, folder: Path) -> None:
    sources = [written(folder / f"s{n}", os.urandom(4 << 20)) for n in range(8)]
    told: list[tuple[float, tuple[object, ...], int]] = []

    def progress(*figures: object) -> None:
        told.append((time.monotonic(), figures, threading.get_ident()))

    stager.stage(
        [Transfer(source, folder / f"t{source.name}", checksum="md5") for source in sources], progress=progress
    )
    total = 8 * (4 << 20)
    assert told[-1][1] == (total, total, 8, 8)
    assert {thread for _, _, thread in told} == {threading.get_ident()}
    done = [(figures[0], figures[2]) for _, figures, _ in told]
    assert done == sorted(done)
    assert all(figures[1] in (None, total) and figures[3] in (None, 8) for _, figures, _ in told)
    gaps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(told[:-1])]
    assert all(gap > 0.09 for gap in gaps)


def test_progress_comes_once_more_at_the_end_of_trees_too(stager: Stager, folder: Path) -> None:
    for number in range(5):
        written(folder / f"source/{number}", b"x" * 100)
    told: list[tuple[object, ...]] = []
    stager.stage([Transfer(folder / "source", folder / "target")], progress=lambda *figures: told.append(figures))
    assert (told[-1][0], told[-1][2]) == (500, 5)


def test_an_exception_in_progress_cancels_and_comes_out(stager: Stager, folder: Path) -> None:
    class Enough(Exception):
        pass

    def progress(*_: object) -> None:
        raise Enough

    sources = [written(folder / f"s{n}", os.urandom(1 << 20)) for n in range(40)]
    with pytest.raises(Enough):
        stager.stage(
            [Transfer(source, folder / "t" / source.name, checksum="md5") for source in sources], progress=progress
        )


@pytest.mark.parametrize("progress", [1, "yes", []])
def test_another_progress_is_refused(stager: Stager, folder: Path, progress: object) -> None:
    with pytest.raises(ValueError):
        stager.stage([Transfer(written(folder / "s", b"x"), folder / "t")], progress=progress)


def test_a_bar_may_be_shown(stager: Stager, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stager.stage([Transfer(written(folder / "s", b"x" * 1000), folder / "t")], progress=True)
    assert "staging" in capsys.readouterr().err


@pytest.mark.parametrize("deadline", [0, -1, -0.5, datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)])
def test_what_cannot_begin_in_time_expires(stager: Stager, folder: Path, deadline: object) -> None:
    source = written(folder / "s", b"x")
    report = stager.stage(
        [Transfer(source, folder / "t0", deadline=deadline), Transfer(source, folder / "t1")], on_error="report"
    )
    assert [end.state for end in report.transfers] == ["expired", "done"]
    assert report.transfers[0].error.code == Code.DEADLINE_EXCEEDED
    assert isinstance(report.transfers[0].error, StageError)
    assert not (folder / "t0").exists()


@pytest.mark.parametrize("zone", [datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=5))])
def test_a_deadline_to_come_is_met(stager: Stager, folder: Path, zone: datetime.timezone) -> None:
    deadline = datetime.datetime.now(zone) + datetime.timedelta(minutes=5)
    stager.one(written(folder / "s", b"x"), folder / "t", deadline=deadline)
    stager.one(folder / "s", folder / "u", deadline=300)


def test_of_two_transfers_to_one_target_the_later_stays(stager: Stager, folder: Path) -> None:
    early, late = written(folder / "early", b"e" * 100_000), written(folder / "late", b"l")
    for turn in range(10):
        target = folder / f"t{turn}"
        report = stager.stage([Transfer(early, target), Transfer(late, target)], on_error="report")
        states = [end.state for end in report.transfers]
        assert states in (["done", "done"], ["cancelled", "done"])
        if states[0] == "cancelled":
            assert "replaced by a later transfer" in str(report.transfers[0].error)
            assert report.transfers[0].error.code == Code.CANCELLED
        assert target.read_bytes() == b"l"


def test_priority_does_not_make_an_earlier_transfer_the_later(stager: Stager, folder: Path) -> None:
    early, late = written(folder / "early", b"e"), written(folder / "late", b"l")
    transfers = [Transfer(early, folder / "t", priority=-5), Transfer(late, folder / "t", priority=5)]
    report = stager.stage(transfers, on_error="report")
    assert report.transfers[1].state == "done"
    assert (folder / "t").read_bytes() == b"l"


def test_many_threads_may_stage_at_once(stager: Stager, folder: Path) -> None:
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            content = os.urandom(100_000)
            source = written(folder / f"s{number}", content)
            for turn in range(5):
                stager.one(source, folder / f"t{number}/{turn}", durability="none")
                assert (folder / f"t{number}/{turn}").read_bytes() == content
        except BaseException as fault:
            faults.append(fault)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert faults == []


def test_ctrl_c_cancels(stager: Stager, folder: Path) -> None:
    sources = [written(folder / f"s{n}", os.urandom(2 << 20)) for n in range(60)]
    fired = threading.Event()

    def progress(*_: object) -> None:
        if not fired.is_set():
            fired.set()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        stager.stage(
            [Transfer(source, folder / "t" / source.name, checksum="sha256") for source in sources], progress=progress
        )
    for target in (folder / "t").iterdir():
        if not target.name.startswith("."):
            assert target.read_bytes() == (folder / target.name).read_bytes()


def test_more_transfers_than_a_call_takes_are_refused(stager: Stager, folder: Path) -> None:
    with pytest.raises(ValueError, match="10000"):
        stager.stage([Transfer(folder / "s", folder / "t")] * 10_001)
