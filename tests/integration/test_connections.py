"""Which connections with keys the bridge cuts: decisions alone. Those of the daemon are tested beside the C++."""

from __future__ import annotations

from windlass._connections import HELD_BYTES_MAX, HELD_LOOK_S, MESSAGE_BYTES_MAX, PING_BYTES_PER_S, Connections


class World:
    def __init__(self, fds: range = range(1, 2)) -> None:
        self.connections = Connections()
        self.bytes = dict.fromkeys(fds, 1000)
        self.now = 0.0
        self.asked = 0
        for fd in fds:
            assert self.connections.accepted(fd, self.now)
            self.connections.spoke(fd, 1000)

    def look(self, after: float = HELD_LOOK_S) -> list[int]:
        self.now += after
        return self.connections.holding(self.now, self._received)

    def _received(self, fd: int) -> int:
        self.asked += 1
        return self.bytes[fd]


def test_who_sends_more_than_a_message_may_take_without_ending_one_is_cut_once():
    world = World()
    assert [world.look() for _ in range(2)] == [[], []]
    world.bytes[1] += 2 * MESSAGE_BYTES_MAX
    assert [world.look() for _ in range(3)] == [[], [1], []]


def test_what_came_right_behind_a_message_counts_too():
    world = World()
    world.bytes[1] += 2 * MESSAGE_BYTES_MAX
    assert [world.look() for _ in range(4)] == [[], [], [1], []]


def test_what_messages_take_besides_their_own_bytes_does_not_add_up():
    world = World()
    for _ in range(100_000):
        world.bytes[1] += 1300
        world.connections.spoke(1, 1000)
        assert world.look() == []
    assert [world.look() for _ in range(3)] == [[], [], []]


def test_what_came_whole_while_nobody_looked_is_nobodys_fault():
    world = World()
    world.look()
    for _ in range(3):
        world.look()
        world.bytes[1] += 10 * MESSAGE_BYTES_MAX
        assert world.look(60.0) == []
        world.connections.spoke(1, 10 * MESSAGE_BYTES_MAX)
        assert world.look() == []


def test_who_speaks_between_two_looks_costs_nothing():
    world = World(range(1, 100))
    for _ in range(10):
        for fd in world.bytes:
            world.connections.spoke(fd, 10)
        assert world.look() == []
        assert world.look(0.0) == []
    assert world.asked == 0


def test_pings_for_days_are_no_message():
    world = World()
    for _ in range(100_000):
        world.bytes[1] += int(HELD_LOOK_S * PING_BYTES_PER_S)
        assert world.look() == []


def test_where_all_together_hold_too_much_whoever_holds_most_is_cut():
    count = HELD_BYTES_MAX // MESSAGE_BYTES_MAX + 3
    world = World(range(1, count + 1))
    assert [world.look() for _ in range(2)] == [[], []]
    for fd in world.bytes:
        world.bytes[fd] += MESSAGE_BYTES_MAX - fd
    assert world.look() == []
    cut = world.look()
    assert 0 < len(cut) < 5 and cut == list(range(1, len(cut) + 1))
    assert world.look() == []


def test_who_has_gone_is_not_looked_at():
    world = World()
    world.look()
    world.connections.closed(1)
    world.connections.spoke(1, 10)  # its last word came after its end
    assert [world.look() for _ in range(3)] == [[], [], []] and world.asked == 0
