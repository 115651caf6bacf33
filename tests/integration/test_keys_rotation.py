"""A side that changes its key: whoever dials finds the one in use, and goes by its list as it stands."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import windlass
from keyed import Folders, Make, Role, ask, refused, start, state
from support import eventually, metric
from windlass import _keys
from windlass._channel import Channel
from windlass._keys_curve import dialling
from windlass._reply import Reply
from windlass._wire import Type
from windlass.cli import main

FIRST, SECOND = 0, 1  # in the order in which keys of one name are tried
BOTH = pytest.mark.parametrize("in_use", [FIRST, SECOND])


@pytest.fixture
def keys(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "keys")


def with_another_key(keys: Folders, name: str, tell: str) -> list[str]:
    """Gives a name a second key, of which `tell` is told; answers the folders of both in the order of trying."""
    first = _keys.load_own(keys[name])
    other = f"{name}-anew"
    second = _keys.new_key(keys[other], name, first.role)
    for key in _keys.load_allowed(keys[name]).values():
        _keys.allow(keys[other], key)
    keys.allow(tell, other)
    return [keys[name], keys[other]] if first.public < second.public else [keys[other], keys[name]]


@contextlib.contextmanager
def bridge_of(folder: str, address: str = "tcp://127.0.0.1:0") -> Iterator[windlass.Bridge]:
    with windlass.Bridge(address, keys=folder, beat=0.1, suspect_after=0.5, dead_after=2.0) as made:
        yield made


def daemon_of(nodes: Make, folder: str) -> windlass.LocalNode:
    return nodes({"node.name": "n", "security.keys": folder})


def lose(client: windlass.Client) -> None:
    """The connection goes without a word to anybody."""
    client._channel.loop.post(client._channel._drop_link)


@pytest.fixture
def watch() -> Iterator[Callable[[str, str], Callable[[], int]]]:
    """watch(address, folder) dials as an observer and answers what asks for the nodes, over one channel that lives."""
    with contextlib.ExitStack() as ends:

        def made(address: str, folder: str) -> Callable[[], int]:
            channel = Channel(
                address, role="observer", credentials=dialling(address, folder, "boss", None, Role.SCHEDULER)
            )
            ends.callback(channel.close)

            def count() -> int:
                reply = Reply()
                channel.submit(Type.NODES, {}, reply, timeout=10.0)
                return len(reply.result().body["nodes"])

            return count

        yield made


@BOTH
def test_the_command_finds_the_key_that_the_bridge_has(in_use: int, keys: Folders, capsys: pytest.CaptureFixture[str]):
    folder = with_another_key(keys, "boss", "eve")[in_use]
    with bridge_of(folder) as bridge:
        for _ in range(3):
            assert main(["nodes", "--bridge", bridge.address, "--keys", keys["eve"]]) == 0, capsys.readouterr().err


@BOTH
def test_a_client_finds_the_key_that_the_daemon_has_and_keeps_to_it(in_use: int, nodes: Make, keys: Folders):
    node = daemon_of(nodes, with_another_key(keys, "n", "bob")[in_use])
    with windlass.Client(node.tcp_address, keys=keys["bob"]) as client:
        assert client.load().cores > 0
        tried = metric(node, 'windlass_peers_refused_total{reason="handshake"}')
        assert bool(tried) == (in_use == SECOND)
        for _ in range(4):
            lose(client)
            assert client.load().cores > 0, "no call fails"
    assert metric(node, 'windlass_peers_refused_total{reason="handshake"}') == tried, "the other is not tried again"


@BOTH
def test_a_node_finds_the_key_that_the_bridge_has_and_keeps_to_it(in_use: int, nodes: Make, keys: Folders):
    folder = with_another_key(keys, "boss", "n")[in_use]
    with bridge_of(folder) as bridge:
        before = refused("handshake")
        # A node that waited out its patience with a bridge that does not answer would be here in an hour.
        node = start(nodes, keys, bridge, "n", **{"bridge.suspect_after": "1h", "bridge.dead_after": "2h"})
        tried = 0
        for turn in range(1, 4):
            eventually(
                lambda turn=turn: metric(node, "windlass_bridge_registrations_total") == turn, 30.0, "it is there"
            )
            if turn == 1:
                tried = refused("handshake") - before
                assert bool(tried) == (in_use == SECOND)
            eventually(lambda: state(bridge) == "alive")
            door = bridge._thread._door
            bridge._thread.loop.post(lambda door=door: [door._cut(fd) for fd in list(door._connections._open)])
        assert refused("handshake") - before == tried, "the other is not tried again"


def test_what_was_tried_is_told_where_no_key_was_right(keys: Folders):
    one = _keys.load_own(with_another_key(keys, "boss", "eve")[FIRST])
    keys.new("other", Role.SCHEDULER)
    keys.allow("other", "eve")
    with bridge_of(keys["other"]) as bridge:
        with pytest.raises(windlass.Unavailable, match=r"none of the 2 keys that .*allowed names for boss") as error:
            ask(bridge.address, Type.NODES, "observer", keys["eve"], "boss", Role.SCHEDULER)
        assert one.public.hex()[:8] in str(error.value) and keys.public("boss")[:8] in str(error.value)
        _keys.revoke(keys["eve"], "boss", one.public.hex())
        with pytest.raises(windlass.Unavailable, match=r"another key than .*allowed names for boss"):
            ask(bridge.address, Type.NODES, "observer", keys["eve"], "boss", Role.SCHEDULER)
        with pytest.raises(windlass.Unavailable, match="does it ask for a key"):
            ask(bridge.address, Type.NODES, "observer", None, None, Role.SCHEDULER)


def test_a_key_that_is_refused_is_not_told_as_a_wrong_one_of_the_other_side(keys: Folders):
    folder = with_another_key(keys, "boss", "eve")[SECOND]
    _keys.revoke(folder, "eve")
    with bridge_of(folder) as bridge, pytest.raises(windlass.Unavailable, match="it refuses this key"):
        ask(bridge.address, Type.NODES, "observer", keys["eve"], "boss", Role.SCHEDULER)


def test_a_client_that_lives_hangs_up_on_a_daemon_whose_key_is_revoked(nodes: Make, keys: Folders):
    node = daemon_of(nodes, keys["n"])

    def why(client: windlass.Client) -> str:
        try:
            client.load()
        except windlass.Unavailable as error:
            return str(error)
        return ""

    with (
        windlass.Client(node.tcp_address, keys=keys["bob"]) as client,
        windlass.Client(node.tcp_address, keys=keys["bob"], server=keys.public("n")) as pinned,
    ):
        assert client.load().cores > 0 and pinned.load().cores > 0
        keys.revoke("bob", "n")
        for who, said in ((client, "allows no such key of role node and name n"), (pinned, "was revoked in")):
            assert said in eventually(lambda who=who: why(who), what="within a second or two")
            lose(who)
            assert "is not dialled" in why(who) and said in why(who), "nor over a new connection"
        keys.allow("bob", "n", again=True)
        for who in (client, pinned):
            eventually(lambda who=who: not why(who), what="allowed again, it is dialled without a restart")


def test_who_watches_goes_over_to_a_new_key_that_is_listed_meanwhile(
    keys: Folders, watch: Callable[[str, str], Callable[[], int]]
):
    with bridge_of(keys["boss"]) as bridge:
        address = bridge.address
        count = watch(address, keys["eve"])
        assert count() == 0
    anew = next(folder for folder in with_another_key(keys, "boss", "eve") if folder != keys["boss"])
    with bridge_of(anew, address):

        def answers() -> bool:
            try:
                return count() == 0
            except windlass.Unavailable as error:
                assert "was lost" in str(error) or "has ended" in str(error), error  # the end of the one before
                return False

        eventually(answers)
        _keys.revoke(keys["eve"], "boss", keys.public("boss"))
        assert count() == 0, "the old one is not needed any more"


def test_a_list_that_is_broken_changes_nothing_and_is_told_once(
    nodes: Make, keys: Folders, caplog: pytest.LogCaptureFixture
):
    node = daemon_of(nodes, keys["n"])
    with windlass.Client(node.tcp_address, keys=keys["bob"]) as client, caplog.at_level(logging.ERROR):
        assert client.load().cores > 0
        Path(keys["bob"], "allowed").write_text("n king 00\n")
        for _ in range(3):
            lose(client)
            assert client.load().cores > 0
    said = [record.getMessage() for record in caplog.records if record.name == "windlass.client"]
    assert len(said) == 1 and "allowed:1" in said[0]
