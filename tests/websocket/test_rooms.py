"""Rooms: the same for all, in one order with everything else, and slow readers apart."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from realtime.websocket import frames
from realtime.websocket.rooms import Room
from tests.websocket.connections import ConnectionTestCase
from tests.websocket.peers import Peer


class RoomTestCase(ConnectionTestCase):
    """Has a room of connections that leave it when they end."""

    def setUp(self) -> None:
        """Build it."""
        super().setUp()
        self.room = self.make()

    def make(self) -> Room:
        """A room of the factory's."""
        return Room(self.factory.messages_sent)

    def members(self, number: int) -> list[Peer]:
        """So many clients that are in the room."""
        peers = [self.open() for _ in range(number)]
        for peer in peers:
            self.enter(self.room, peer)
        return peers

    def enter(self, room: Room, peer: Peer) -> None:
        """Let a client's connection into a room, until it ends."""
        connection: Any = peer.connection
        room.join(connection)
        before = connection.ended

        def ended() -> None:
            before()
            room.leave(connection)

        connection.ended = ended

    def texts(self, peer: Peer) -> list[str]:
        """The texts that a client has got by the end of the turn."""
        self.clock.advance(0)
        return [frame.payload.decode() for frame in peer.frames()]


class RoomTests(RoomTestCase):
    """Who gets what."""

    def test_to_all_members(self) -> None:
        """Every member gets the frame, nobody else does, and it counts for each receiver."""
        *inside, outside = [*self.members(3), self.open()]
        self.room.send_frame(frames.text(b"hello"))
        self.assertEqual([self.texts(peer) for peer in inside], [["hello"]] * 3)
        self.assertEqual(self.texts(outside), [])
        self.assertEqual(self.sample("realtime_messages_sent_total", protocol="support"), 3)

    def test_nobody(self) -> None:
        """An empty room is told in vain."""
        self.room.send_frame(frames.text(b"hello"))
        self.assertEqual((len(self.room), list(self.room)), (0, []))

    def test_the_same_bytes(self) -> None:
        """What is said in one turn is joined once: every transport is handed the same object."""
        written: list[bytes] = []
        for peer in self.members(3):
            self.patch(peer.wire, "write", written.append)
        for text in (b"one", b"two"):
            self.room.send_frame(frames.text(text))
        self.clock.advance(0)
        self.assertEqual(written[0], frames.text(b"one") + frames.text(b"two"))
        self.assertEqual([data is written[0] for data in written], [True] * 3)

    def test_coming_and_going(self) -> None:
        """A member gets what is sent from its coming to its going, also within one turn."""
        early, late = self.open(), self.open()
        self.enter(self.room, early)
        self.room.send_frame(frames.text(b"1"))
        self.enter(self.room, late)
        self.room.send_frame(frames.text(b"2"))
        self.room.leave(early.connection)
        self.room.send_frame(frames.text(b"3"))
        self.assertEqual((self.texts(early), self.texts(late)), (["1", "2"], ["2", "3"]))
        self.assertTrue(late.connection in self.room and early.connection not in self.room)

    def test_nothing_after_the_close_frame(self) -> None:
        """A member that is closed gets nothing more, the others do."""
        closing, staying = self.members(2)
        self.room.send_frame(frames.text(b"1"))
        closing.connection.close_going_away()
        self.room.send_frame(frames.text(b"2"))
        self.clock.advance(0)
        before = self.assert_closed(closing, 1001)
        self.assertEqual([frame.payload for frame in before], [b"1"])
        self.assertEqual(self.texts(staying), ["1", "2"])

    def test_a_lost_member(self) -> None:
        """One that went away in the middle of the turn is no harm."""
        lost, staying = self.members(2)
        self.room.send_frame(frames.text(b"1"))
        lost.go()
        self.room.send_frame(frames.text(b"2"))
        self.assertEqual(self.texts(staying), ["1", "2"])

    @given(
        said=st.lists(
            st.one_of(
                st.tuples(st.just("room"), st.integers(0, 1)),
                st.tuples(st.just("alone"), st.integers(0, 2)),
                st.tuples(st.just("turn"), st.just(0)),
            ),
            max_size=30,
        )
    )
    def test_order(self, said: list[tuple[str, int]]) -> None:
        """Messages of two rooms and to one alone reach each client in the order they were sent."""
        self.configure(per_second=1e9)
        rooms = [self.make(), self.make()]
        peers = [self.open() for _ in range(3)]
        inside = [peers[:2], peers[1:]]
        for room, members in zip(rooms, inside, strict=True):
            for peer in members:
                self.enter(room, peer)
        expected: dict[Peer, list[str]] = {peer: [] for peer in peers}
        for number, (what, which) in enumerate(said):
            if what == "room":
                rooms[which].send_frame(frames.text(str(number).encode()))
                for peer in inside[which]:
                    expected[peer].append(str(number))
            elif what == "alone":
                peers[which].connection.send(str(number).encode())
                expected[peers[which]].append(str(number))
            else:
                self.clock.advance(0)
        self.assertEqual({peer: self.texts(peer) for peer in peers}, expected)
        self.tearDown()


class SlowMemberTests(RoomTestCase):
    """A reader that does not keep up costs itself only."""

    def setUp(self) -> None:
        """Have a bound of 1000 bytes."""
        self.configure(send_buffer_bytes=1000)
        self.room = self.make()

    def test_gets_all_in_order(self) -> None:
        """One that falls behind for a while gets everything, in order."""
        slow, quick = self.members(2)
        slow.wire.slow = True
        texts = [str(number) for number in range(20)]
        for text in texts:
            self.room.send_frame(frames.text(text.encode()))
            if int(text) % 3 == 0:
                self.clock.advance(0)
        self.clock.advance(0)
        slow.wire.read_on()
        self.assertEqual((self.texts(slow), self.texts(quick)), (texts, texts))

    def test_too_slow(self) -> None:
        """One that falls behind too far is closed with 4430, in the middle of a burst too."""
        slow, quick = self.members(2)
        slow.wire.slow = True
        for _ in range(10):  # fills what the transport takes
            self.room.send_frame(frames.text(bytes(65535)))
            self.clock.advance(0)
        self.assertEqual(self.closings("4430"), 1)
        for _ in range(3):
            self.room.send_frame(frames.text(b"after"))
        self.assertEqual(self.texts(quick)[-3:], ["after"] * 3)
        self.assertEqual(list(self.room), [quick.connection])

    def test_one_end_does_not_disturb_the_others(self) -> None:
        """What is said because a slow one ends reaches all others, after what was said before."""
        slow, *others = self.members(3)
        slow.wire.slow = True
        connection: Any = slow.connection
        ended = connection.ended

        def tell() -> None:
            ended()
            self.room.send_frame(frames.text(b"gone"))

        connection.ended = tell
        for number in range(10):
            self.room.send_frame(frames.text(b"%d" % number + bytes(65535)))
        self.clock.advance(0)
        for _ in range(3):
            self.room.send_frame(frames.text(bytes(2000)))
        self.clock.advance(0)
        self.assertEqual(self.closings("4430"), 1)
        for peer in others:
            texts = self.texts(peer)
            self.assertEqual((len(texts), texts.count("gone")), (14, 1))
            self.assertGreaterEqual(texts.index("gone"), 10)

    def test_alone_in_the_room(self) -> None:
        """With slow readers alone in it a room keeps nothing of what it said."""
        (slow,) = self.members(1)
        slow.connection.outgoing.pauseProducing()
        self.room.send_frame(frames.text(b"1"))
        self.assertIsNone(self.room._batch)
        self.room.send_frame(frames.text(b"2"))
        slow.connection.outgoing.resumeProducing()
        self.assertEqual(self.texts(slow), ["1", "2"])
