"""Presence and leases between processes, over a real Redis: at one moment, and when a process dies."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from realtime.cluster import redis_process
from realtime.cluster.redis_cluster import RedisCluster
from tests.cluster.kinds import OverRedis


class SeveralTests(OverRedis):
    """Three processes, whose lives and heartbeats are short."""

    def setUp(self) -> None:
        """Start them."""
        super().setUp()
        self.patch(redis_process, "LIFE_SECONDS", 0.7)
        self.patch(redis_process, "HEARTBEAT_SECONDS", 0.2)
        self.freed: list[dict[str, str]] = []
        self.lost: list[str] = []
        self.one, self.two, self.three = (self.start(name) for name in ("one", "two", "three"))
        self.told: list[tuple[str, bool]] = []

    def start(self, name: str) -> RedisCluster:
        """Start one."""
        cluster = self.make_cluster()
        cluster.when_freed("n", lambda leases: self.freed.append(dict(leases)))
        cluster.when_freed("m", lambda leases: self.fail(f"nobody had {leases}"))
        cluster.when_lost(lambda: self.lost.append(name))
        return cluster

    def watch(self, cluster: RedisCluster) -> None:
        """Write down what is told in a process from now on."""
        cluster.presence.watch("g", lambda member, present: self.told.append((member, present)))
        self.settle()

    def together(self, *results: Deferred[Any]) -> list[Any]:
        """Wait for what was begun at one moment."""
        return self.carry_out(gatherResults(results))

    def freeze(self, cluster: RedisCluster) -> Any:
        """Let a process stand still, its connections open; returns what lets it go on."""
        cluster._process._tick.cancel()  # type: ignore[union-attr]
        return cluster._process._beat

    def keys(self) -> list[bytes]:
        """What is in Redis."""
        protocol: Any = self.clusters[0]._process._connection.protocol
        found: list[bytes] = self.carry_out(protocol.execute_command(b"KEYS", f"{self.prefix}:*"))
        return found

    def test_one_is_first_and_one_is_last(self) -> None:
        """Of those who enter, or leave, at the same moment one is told that it was the first, or the last."""
        self.watch(self.three)
        for _ in range(50):
            entered = self.together(
                *(each.presence.enter("g", "alice") for each in (self.one, self.two, self.one, self.two))
            )
            self.assertEqual(sum(entered), 1)
            left = self.together(
                *(each.presence.leave("g", "alice") for each in (self.one, self.two, self.one, self.two))
            )
            self.assertEqual(sum(left), 1)
        self.settle()
        self.assertEqual(self.told, [("alice", True), ("alice", False)] * 50)

    def test_watched_everywhere(self) -> None:
        """All processes hear of a change, the one that made it too, and agree on who is there."""
        for each in self.clusters:
            self.watch(each)
        self.carry_out(self.one.presence.enter("g", "alice"))
        self.settle()
        self.assertEqual(self.told, [("alice", True)] * 3)
        for each in self.clusters:
            self.assertEqual(self.carry_out(each.presence.members("g")), {"alice"})
            self.assertTrue(self.carry_out(each.presence.is_present("g", "alice")))
            self.assertFalse(self.carry_out(each.presence.is_present("g", "bob")))

    def test_any_text(self) -> None:
        """Groups, members, names and holders may be any text."""
        texts = ["", "a:b", "1:x", "ж☃", "\x00", "x" * 300]
        self.watch(self.two)
        for text in texts:
            self.carry_out(self.one.presence.enter("g", text))
            self.carry_out(self.one.presence.enter(text, "alice"))
            self.carry_out(self.one.leases.take(text, f"h{text}"))
            self.assertEqual(self.carry_out(self.two.leases.holder(text)), f"h{text}")
        self.assertEqual(self.carry_out(self.two.presence.members("g")), set(texts))
        self.kill(self.one)
        self.until(lambda: len(self.told) == 2 * len(texts))
        self.assertEqual(sorted(self.told), sorted((text, now) for text in texts for now in (True, False)))
        self.until(lambda: len(self.keys()) <= 3)

    def test_one_process_dies(self) -> None:
        """What a dead process had is gone, once, watchers are told; what another has too stays."""
        self.watch(self.two)
        self.watch(self.three)
        for number in range(450):
            self.one.presence.enter("g", str(number))
            self.one.leases.take(f"n{number}", "alice")
        self.carry_out(self.two.presence.enter("g", "7"))
        self.carry_out(self.two.leases.take("n7", "bob"))
        self.settle()
        self.told.clear()
        self.kill(self.one)
        took = self.until(lambda: len(self.told) >= 898)
        self.settle()
        self.assertLess(took, 0.7 + 0.2 + 1.0)
        self.assertEqual(len(self.told), 898)
        self.assertEqual(set(self.told), {(str(number), False) for number in range(450) if number != 7})
        self.assertEqual(self.carry_out(self.two.presence.members("g")), {"7"})
        freed = [name for each in self.freed for name in each]
        self.assertEqual(sorted(freed), sorted(f"n{number}" for number in range(450) if number != 7))
        self.assertEqual(self.carry_out(self.two.leases.release_all("alice")), [])
        self.assertEqual(self.carry_out(self.three.leases.holder("n7")), "bob")
        self.assertTrue(self.carry_out(self.two.presence.leave("g", "7")))

    def test_all_die(self) -> None:
        """What the last process had is taken back by the next that starts."""
        self.carry_out(self.one.presence.enter("g", "alice"))
        self.carry_out(self.one.leases.take("n", "alice"))
        for each in (self.one, self.two, self.three):
            self.kill(each)
        four = self.start("four")
        self.until(lambda: self.carry_out(four.leases.holder("n")) is None)
        self.until(lambda: not self.carry_out(four.presence.members("g")))
        self.assertEqual(self.freed, [{"n": "alice"}])

    def test_one_goes_in_order(self) -> None:
        """What a process had is given back at once when it ends, and nothing is left of it in Redis."""
        self.watch(self.two)
        self.one.presence.enter("g", "alice")
        self.one.leases.take("n", "alice")
        self.clusters.remove(self.one)
        self.carry_out(self.one.stop())
        self.settle()
        self.assertEqual(self.told, [("alice", True), ("alice", False)])
        self.assertIsNone(self.carry_out(self.two.leases.holder("n")))
        name = self.one._process.name.encode()
        self.assertEqual([key for key in self.keys() if name in key], [])

    def test_nothing_is_left(self) -> None:
        """What was left and released takes no memory in Redis."""
        for number in range(20):
            self.one.presence.enter("g", str(number))
            self.one.leases.take(f"n{number}", str(number))
        for number in range(20):
            self.one.presence.leave("g", str(number))
            self.two.leases.release(f"n{number}", str(number))
        self.settle()
        kinds = {key.split(b":")[2] for key in self.keys()}
        self.assertLessEqual(kinds, {b"processes", b"changes", b"answers"})

    def test_cut_off_too_long(self) -> None:
        """Who was taken for dead learns it: its leases are lost, what it had entered is entered anew."""
        self.watch(self.two)
        self.carry_out(self.one.presence.enter("g", "alice"))
        self.carry_out(self.one.leases.take("n", "alice"))
        go_on = self.freeze(self.one)
        self.until(lambda: self.told == [("alice", True), ("alice", False)])
        self.assertEqual(self.carry_out(self.two.leases.claim("n", "bob")), "bob")
        go_on()
        self.until(lambda: self.told == [("alice", True), ("alice", False), ("alice", True)])
        self.assertEqual(self.lost, ["one"])
        self.assertEqual(self.carry_out(self.one.leases.holder("n")), "bob")
        self.assertFalse(self.carry_out(self.one.leases.release("n", "alice")))
        self.assertTrue(self.carry_out(self.one.presence.leave("g", "alice")))

    def test_what_the_dead_say(self) -> None:
        """What a process that was taken for dead asks is done for its next life, not its last."""
        go_on = self.freeze(self.one)
        before = self.one._process.name
        self.until(lambda: before not in str(self.keys()) and self.standing(self.two, before) is None)
        self.assertTrue(self.carry_out(self.one.presence.enter("g", "alice")))
        self.assertIsNone(self.carry_out(self.one.leases.take("n", "alice")))
        self.assertNotEqual(self.one._process.name, before)
        self.assertEqual(self.lost, ["one"])
        go_on()
        self.turn(1.0)
        self.assertEqual(self.carry_out(self.two.leases.holder("n")), "alice")

    def standing(self, cluster: RedisCluster, name: str) -> Any:
        """Until when a process is taken to live."""
        protocol: Any = cluster._process._connection.protocol
        return self.carry_out(
            protocol.execute_command(b"ZSCORE", cluster._process._names.root + b"processes", name)
        )

    def test_claims_at_one_moment(self) -> None:
        """Of those who claim a thing at the same moment one gets it, and all are told which."""
        for number in range(20):
            name = f"n{number}"
            told = self.together(
                *(each.leases.claim(name, who) for each, who in zip(self.clusters, "abc", strict=True))
            )
            self.assertEqual(len(set(told)), 1)
            again = self.together(
                *(
                    each.leases.claim(name, who, instead_of=told[0])
                    for each, who in zip(self.clusters, "def", strict=True)
                )
            )
            self.assertEqual(len(set(again)), 1)
            self.assertIn(again[0], "def")

    def test_released_elsewhere(self) -> None:
        """Any process can release for a holder, and nothing of it comes back."""
        self.carry_out(self.one.leases.take("n", "alice"))
        self.carry_out(self.two.leases.take("m", "alice"))
        released = self.carry_out(self.three.leases.release_all("alice"))
        self.assertEqual(set(released), {"m", "n"})
        self.assertEqual(self.carry_out(self.three.leases.holders(["m", "n"])), {})


class PromisedTests(OverRedis):
    """The promise, in its own seconds."""

    def test_within_ten_seconds(self) -> None:
        """What a dead process had is gone within ten seconds."""
        one, two = self.make_cluster(), self.make_cluster()
        told: list[tuple[str, bool]] = []
        self.carry_out(one.presence.enter("g", "alice"))
        self.carry_out(one.leases.take("n", "alice"))
        two.presence.watch("g", lambda *change: told.append(change))
        self.kill(one)
        self.assertLess(self.until(lambda: told == [("alice", False)]), 10.0)
        self.assertIsNone(self.carry_out(two.leases.holder("n")))
