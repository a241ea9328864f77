"""Rooms of many: clients of all kinds get the same, in order, whatever they do meanwhile."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.socketio import engine_packets, packets
from realtime.socketio.engine_packets import Form, Group, PacketType
from realtime.socketio.socket import Socket
from tests.socketio.namespaces import ServerTestCase
from tests.socketio.world import Client, is_waiting
from tests.web.requests import Response
from tests.websocket.peers import Peer

CROWD = 10
"""More than a room of a few."""


class Member:
    """A client on a WebSocket, or one that polls until it is upgraded, and what it ought to have got."""

    def __init__(self, test: ServerTestCase, kind: str) -> None:
        self.test = test
        self.client: Client | None = None
        self.peer: Peer | None = None
        version = 3 if kind == "old" else 4
        if kind == "polling":
            self.client = test.polling()
            self.client.send('40{"how":"quiet"}')
        else:
            self.peer = test.websocket(f"EIO={version}&transport=websocket")
            if version == 4:
                self.peer.text(b'40{"how":"quiet"}')
        self.socket: Socket = test.root.sockets[-1]
        self.due: list[int] = []
        self.got: list[int] = []
        self.read()
        self.got.clear()

    def upgrade(self) -> None:
        """Go over to a WebSocket."""
        if self.client is not None:
            self.read()
            self.peer, self.client = self.client.upgrade(), None

    def read(self) -> None:
        """Read what has come."""
        self.test.clock.advance(0.01)
        texts: list[str] = []
        if self.client is not None:
            request = self.client.poll()
            if is_waiting(request):
                self.client.session.send(engine_packets.NOOP)
                self.test.clock.advance(0)
            read = engine_packets.read_payload(Response(request.wire.value()).body, 4)
            texts = [str(packet.data) for packet in read if packet.type is PacketType.MESSAGE]
        elif self.peer is not None:
            texts = [frame.payload[1:].decode() for frame in self.peer.frames() if frame.payload[:1] == b"4"]
        self.got += [event[1] for event in (json.loads(text[1:]) for text in texts if text[:2] == "2[")
                     if event[0] == "told"]  # fmt: skip


_who = st.integers(0, CROWD - 1)
_steps = st.one_of(
    st.tuples(st.just("tell"), st.one_of(st.none(), st.none(), _who)),
    st.tuples(st.just("tell"), st.none()),
    st.tuples(st.sampled_from(["emit", "join", "leave", "upgrade", "read", "slow", "go"]), _who),
    st.tuples(st.just("turn"), st.none()),
)


class CrowdTests(ServerTestCase):
    """A room with more than a few members."""

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.sampled_from(["new", "new", "old", "polling"]), min_size=CROWD, max_size=CROWD),
        st.lists(_steps, max_size=40),
        st.booleans(),
    )
    def test_everybody(self, kinds: list[str], steps: list[tuple[str, Any]], recovers: bool) -> None:
        """Each member gets what is told while it is in the room, and what is its own, in order."""
        self.recovery_seconds = 120.0 if recovers else 0.0
        self.configure(send_buffer_bytes=1_000_000)
        self.root.says_goodbye = False
        self.members = [Member(self, kind) for kind in kinds]
        for member in self.members:
            member.socket.join("a")
        self.inside = set(self.members)
        self.told = 0
        for word, which in steps:
            getattr(self, word)(None if which is None else self.members[which])
        for member in self.members:
            if member.peer is not None and member.peer.wire.slow:
                member.peer.wire.read_on()
            if member.peer is None or not member.peer.wire.gone:
                member.read()
                self.assertEqual(member.got, member.due)
        self.tearDown()
        self.recovery_seconds = 0.0

    def tell(self, but: Member | None) -> None:
        """The room is told something."""
        self.told += 1
        self.namespaces["/"].to("a", "told", self.told, but=None if but is None else but.socket)
        for member in self.inside:
            if member is not but:
                member.due.append(self.told)

    def emit(self, member: Member) -> None:
        """One is told something."""
        self.told += 1
        member.socket.emit("told", self.told)
        member.due.append(self.told)

    def join(self, member: Member) -> None:
        """One joins."""
        member.socket.join("a")
        if not member.socket.is_over:
            self.inside.add(member)

    def leave(self, member: Member) -> None:
        """One leaves."""
        member.socket.leave("a")
        self.inside.discard(member)

    def upgrade(self, member: Member) -> None:
        """One goes over to a WebSocket."""
        member.upgrade()

    def read(self, member: Member) -> None:
        """One reads."""
        member.read()

    def slow(self, member: Member) -> None:
        """One takes nothing for a while."""
        if member.peer is not None and not member.peer.wire.gone:
            member.peer.wire.slow = True

    def go(self, member: Member) -> None:
        """One is lost."""
        if member.peer is not None:
            member.peer.go()
            self.inside.discard(member)

    def turn(self, _: None) -> None:
        """A turn of the reactor ends."""
        self.clock.advance(0)

    def test_who_leaves_the_namespace(self) -> None:
        """Who has left the namespace, but not the connection, gets nothing more of its rooms."""
        members = [Member(self, "new") for _ in range(CROWD)]
        for member in members:
            member.socket.join("a")
        self.inside = set(members)
        self.told = 0
        self.tell(None)
        assert members[0].peer is not None
        members[0].peer.text(b"41")
        self.tell(None)
        self.clock.advance(0)
        frames = [frame.payload[:2] for frame in members[0].peer.frames()]
        self.assertEqual(frames, [b"42"])
        self.assertEqual(len(members[1].peer.frames() if members[1].peer else []), 2)

    def crowd(self, *kinds: str) -> list[Member]:
        """Members of a room that has spoken."""
        members = [Member(self, kind) for kind in (*["new"] * CROWD, *kinds)]
        for member in members:
            member.socket.join("a")
        self.namespaces["/"].to("a", "told", 1)
        return members

    def test_who_polls_and_leaves(self) -> None:
        """One that polls and has left the room gets nothing more of it."""
        polling = self.crowd("polling")[-1]
        polling.socket.leave("a")
        self.namespaces["/"].to("a", "told", 2)
        polling.read()
        self.assertEqual(polling.got, [1])

    def test_who_waits(self) -> None:
        """One that is not let in yet is told nothing before it is, and then all."""
        self.crowd()
        player = self.connect('0{"how":"wait"}')
        self.root.sockets[-1].join("a")
        self.namespaces["/"].to("a", "told", 2)
        self.assertEqual(player.heard(), [])
        self.root.admitting[0].callback(None)
        self.namespaces["/"].to("a", "told", 3)
        _, *events = player.heard()
        self.assertEqual(events, ['2["auth",{"how":"wait"}]', '2["told",2]', '2["told",3]'])
        self.namespaces["/"].to("a", "told", 4)
        self.assertEqual(player.heard(), ['2["told",4]'])

    def test_one_write(self) -> None:
        """What a room says in one turn is one write for each member, and encoded once for each form."""
        kinds = [*["new"] * CROWD, "old", "polling"]
        members = [Member(self, kind) for kind in kinds]
        for member in members:
            member.socket.join("a")
        written: list[Form] = []
        encoded: list[Group] = []
        event, write = packets.event, Group.written

        def counted_event(*arguments: Any, **more: Any) -> Group:
            encoded.append(event(*arguments, **more))
            return encoded[-1]

        def counted_write(group: Group, form: Form) -> bytes:
            written.append(form)
            return write(group, form)

        self.patch(packets, "event", counted_event)
        self.patch(Group, "written", counted_write)
        peers = [member.peer for member in members if member.peer is not None]
        before = [peer.wire.writes for peer in peers]
        for number in range(8):
            self.namespaces["/"].to("a", "told", number)
        self.clock.advance(0)
        self.assertEqual([peer.wire.writes for peer in peers], [count + 1 for count in before])
        self.assertEqual(len(encoded), 8)
        self.assertEqual(written, [Form.WEBSOCKET_4, Form.WEBSOCKET_3] * 8)
