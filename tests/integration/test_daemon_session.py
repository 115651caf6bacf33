"""Sessions in a real windlassd: the oracle's lives over ipc, restarts, lost connections, ends."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator

import pytest
import windlass
from support import eventually, held, own_threads
from windlass import aio
from windlass._client import Client
from windlass._errors import Cancelled, ResourceExhausted

from tests.match import cases, session_cases
from tests.match.test_session import live, refused
from tests.oracle.session import SessionOracle

BASE = int(os.environ.get("WINDLASS_SEED", "0"))
FLEET = [{"name": "a", "resources": {"cpu": 4}}, {"name": "b", "resources": {"cpu": 8}}]


def task(name: str, cpu: float = 1) -> list[dict]:
    return [{"name": name, "resources": {"cpu": cpu}}]


@pytest.fixture(scope="module")
def client() -> Iterator[windlass.Client]:
    with windlass.LocalNode() as node, node.client() as made:
        yield made


def campaign(client: windlass.Client, kind: str, constraint: str | None, seeds: range, explained: bool = False) -> int:
    placed = 0
    for seed in seeds:
        offers, options, steps = session_cases.life(seed, kind, constraint)
        try:
            try:
                oracle = SessionOracle(offers, **options)
            except ValueError:
                assert refused(lambda o=offers, how=options: client.session(o, **how))
                continue
            with client.session(offers, **options) as session:
                placed += live(session, oracle, steps, "client", explained)[0]
        except Exception as error:
            replay = f"session_cases.life({seed}, {kind!r}, {constraint!r})"
            raise AssertionError(f"{replay}: {type(error).__name__}: {error}") from error
    return placed


@pytest.mark.parametrize("kind", session_cases.KINDS)
def test_amounts_and_options(client: windlass.Client, kind: str):
    assert campaign(client, kind, None, range(BASE, BASE + 25)) > 20


@pytest.mark.parametrize("constraint", cases.CONSTRAINTS)
def test_constraints(client: windlass.Client, constraint: str):
    for kind in session_cases.KINDS:
        campaign(client, kind, constraint, range(BASE, BASE + 3))


def test_explanations(client: windlass.Client):
    campaign(client, "packing", "all", range(BASE, BASE + 8), explained=True)


def test_refusals_name_what_is_wrong_and_change_nothing(client: windlass.Client):
    with client.session(FLEET, scale={"cpu": 1}) as session:
        for call in (
            lambda: session.add([{"name": "c", "cpu": 2**25}]),
            lambda: session.add(FLEET),
            lambda: session.update([{"name": "c", "cpu": 1}]),
            lambda: session.match([{"name": "t", "cpu": -1}]),
        ):
            version = session.version
            with pytest.raises(windlass.InvalidArgument) as caught:
                call()
            assert caught.value.row is not None and session.version == version
        assert session.match(task("t")).assignments == {"t": "a"}


def test_a_restart_of_the_daemon_ends_its_sessions(nodes):
    node = nodes()
    with node.client() as client:
        session = client.session(FLEET)
        assert session.match(task("t")).assignments == {"t": "a"}
        before = windlass.stats()["fallbacks"]["match"]
        node.restart()
        with pytest.raises(windlass.FailedPrecondition):
            session.match(task("u"))
        for call in (session.offers, lambda: session.release(["t"]), lambda: session.add([]), session.rescale):
            with pytest.raises(windlass.FailedPrecondition):
                call()
        assert windlass.stats()["fallbacks"]["match"] == before
        session.close()
        with client.session(FLEET) as again:
            assert again.match(task("t")).assignments == {"t": "a"}


def test_without_its_daemon_a_session_has_no_way_out(nodes):
    node = nodes()
    with node.client() as client, client.session(FLEET) as session:
        node.kill()
        with pytest.raises((windlass.Unavailable, windlass.FailedPrecondition)):
            session.match(task("t"))
        with pytest.raises(windlass.FailedPrecondition):
            session.match(task("t"))
        with pytest.raises(windlass.Unavailable):
            client.session(FLEET)


def test_a_session_ends_with_its_client(client: windlass.Client):
    with windlass.Client(client.address) as own:
        session = own.session(FLEET)
    with pytest.raises(windlass.FailedPrecondition):
        session.match(task("t"))
    session.close()


class Interrupted:
    """A client whose answers to some requests are lost on the way."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self._call, self.left = client.call, 0
        monkeypatch.setattr(client, "call", self.call)

    def call(self, *args, **options):
        answer = self._call(*args, **options)
        if self.left:
            self.left -= 1
            raise Cancelled("the answer was lost")
        return answer


def test_a_match_whose_answer_was_lost_is_taken_back(client: windlass.Client, monkeypatch: pytest.MonkeyPatch):
    with client.session(FLEET) as session:
        lossy = Interrupted(client, monkeypatch)
        version, lossy.left = session.version, 1
        with pytest.raises(windlass.Cancelled):
            session.match(task("t"))
        assert session.version == version and [offer.tasks for offer in session.offers()] == [[], []]
        assert session.match(task("t")).assignments == {"t": "a"}


def test_a_change_whose_answer_was_lost_ends_the_session(client: windlass.Client, monkeypatch: pytest.MonkeyPatch):
    with client.session(FLEET) as session:
        Interrupted(client, monkeypatch).left = 1
        with pytest.raises(windlass.Cancelled):
            session.add([{"name": "c", "cpu": 1}])
        with pytest.raises(windlass.FailedPrecondition):
            session.offers()


def test_sessions_of_one_client_are_apart_and_limited(client: windlass.Client):
    with client.session(FLEET) as one, client.session(FLEET) as other:
        assert one.match(task("t")).assignments == other.match(task("t")).assignments == {"t": "a"}
    opened = []
    with pytest.raises(ResourceExhausted):
        for _ in range(100_000):
            opened.append(client.session([]))
    opened.pop().close()
    client.session(FLEET).close()
    for session in opened:
        session.close()


def test_sessions_that_nobody_refers_to_are_ended(client: windlass.Client):
    def fill() -> int:
        opened = []
        try:
            while True:
                opened.append(client.session([]))
        except ResourceExhausted:
            return len(opened)

    first = fill()
    gc.collect()
    assert eventually(lambda: fill() == first, what="as many can be opened again")
    gc.collect()


def test_the_async_twin(client: windlass.Client):
    async def run() -> None:
        async with aio.Client(client.address) as twin:
            async with twin.session(FLEET, mode="packing") as session:
                assert (await session.match(task("t", 3))).assignments == {"t": "a"}
                await session.add([{"name": "c", "cpu": 1}])
                await session.update([{"name": "c", "cpu": 2}])
                assert [offer["resources"]["cpu"] for offer in await session.offers()] == [1, 8, 2]
                await session.rescale()
                assert await session.release(["t"]) == 1 and await session.remove(["c", "d"]) == 1
                assert session.version == 6
                doomed = asyncio.ensure_future(session.match(task("u")))
                await asyncio.sleep(0)
                doomed.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await doomed
                assert [offer.tasks for offer in await session.offers()] == [[], []]
            opened = await twin.session(FLEET)
            assert (await opened.match(task("t"))).assignments == {"t": "a"}
            await opened.close()
            with pytest.raises(windlass.FailedPrecondition):
                await opened.match(task("u"))

    asyncio.run(run())


def test_nothing_is_left(client: windlass.Client, nothing_is_left_beside_it: None):
    for _ in range(20):
        with windlass.Client(client.address) as own, own.session(FLEET) as session:
            session.match(task("t"))


@pytest.fixture
def nothing_is_left_beside_it(client: windlass.Client) -> Iterator[None]:
    client.load()  # its thread runs
    before, threads = held(), own_threads()
    yield
    assert own_threads() == threads
    eventually(lambda: held() <= before, what="no descriptor and no thread is left")
