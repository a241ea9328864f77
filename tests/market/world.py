"""A listening market in memory, and clients of it in each of the forms."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.internet.task import Clock

from realtime.accounts.store import AccountStore, User
from realtime.cluster.bus import MemoryBus
from realtime.limiting import Rate
from realtime.market.codec import Form
from realtime.market.exchange import Exchange, Packets
from realtime.market.heartbeat import Heartbeat
from realtime.market.protocol import MarketFactory
from realtime.market.store import MarketStore
from realtime.websocket.factory import Rules
from tests.accounts.fakes import FakeAuthenticator
from tests.databases import SynchronousDatabase
from tests.websocket.peers import BINARY, CLOSE, TEXT, Peer, Settings, surroundings

START = 1_790_000_000
INTERVAL, TIMEOUT = 5.0, 30.0


class Trader:
    """A client. ``form`` is how it writes, and what it takes binary frames for."""

    def __init__(self, peer: Peer, form: Form) -> None:
        self.peer = peer
        self.form = form

    def send(self, opcode: int, body: Any = None) -> None:
        """Send a packet."""
        if self.form is Form.TEXT:
            self.peer.text(json.dumps({"type": opcode, "data": body}).encode())
        else:
            encode = msgspec.json.encode if self.form is Form.BINARY else msgspec.msgpack.encode
            self.peer.binary(bytes([opcode]) + (b"" if body is None else encode(body)))

    def packets(self) -> list[tuple[int, Any]]:
        """What came since the last time, by the end of the turn: opcodes and bodies; a close as its code."""
        self.peer.clock.advance(0)
        found: list[tuple[int, Any]] = []
        for frame in self.peer.frames():
            if frame.opcode == TEXT:
                packet = json.loads(frame.payload)
                found.append((packet["type"], packet["data"]))
            elif frame.opcode == BINARY:
                decode: Any = msgspec.msgpack.decode if self.form is Form.MSGPACK else json.loads
                found.append((frame.payload[0], decode(frame.payload[1:]) if frame.payload[1:] else None))
            elif frame.opcode == CLOSE:
                found.append((-1, frame.code))
        return found

    def one(self) -> tuple[int, Any]:
        """The one packet that came."""
        (packet,) = self.packets()
        return packet


class Market:
    """A process: its clock, database and accounts are those of the one it stands ``beside``."""

    def __init__(
        self,
        *,
        escape_html: bool = False,
        history_bytes: int = 524_288,
        per_second: float = 1000,
        cluster: Any = None,
        beside: Market | None = None,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.database = SynchronousDatabase()
        self.authenticator = FakeAuthenticator()
        if beside is not None:
            self.clock, self.database, self.authenticator = beside.clock, beside.database, beside.authenticator
        database: Any = self.database
        self.accounts = AccountStore(database)
        authenticator: Any = self.authenticator
        self.bus: Any = MemoryBus() if cluster is None else cluster.bus
        self.parts = surroundings(
            Settings(clock=self.clock, interval=10_000, origins=("*", "https://shop.example"))
        )
        exchange = Exchange(
            store=MarketStore(database),
            bus=self.bus,
            packets=Packets(escape_html=escape_html),
            clock=self.clock,
            history_bytes=history_bytes,
        )
        rules = Rules(
            message_bytes=65_536,
            rate=Rate(per_second, 2 * per_second),
            send_buffer_bytes=1_000_000,
            handshake_timeout=10,
            unauthenticated_timeout=30,
        )
        self.factory = MarketFactory(
            self.parts,
            rules,
            authenticator=authenticator,
            exchange=exchange,
            heartbeat=Heartbeat(self.clock, INTERVAL, TIMEOUT),
        )
        self.peers: list[Peer] = []

    def user(self, name: str) -> User:
        """Make an account, whose token is its name."""
        users: list[User] = []
        self.accounts.add(name, "").addCallback(users.append)
        self.authenticator.users[name] = users[0]
        return users[0]

    def shake(self, token: str | None, subprotocol: str | None = None, *more: str) -> Peer:
        """A client that asks for a connection, with ``more`` header lines."""
        headers = list(more)
        if token is not None:
            headers.append(f"Authorization: Bearer {token}")
        if subprotocol is not None:
            headers.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        peer = Peer(self.factory, self.clock)
        self.peers.append(peer)
        return peer.shake("/market", *headers)

    def enter(self, token: str, form: Form, *, named: bool = True) -> Trader:
        """A client that is connected, and has ``named`` its form by the subprotocol."""
        peer = self.shake(token, form.value if named else None)
        assert peer.status == 101, peer.response
        return Trader(peer, form)

    def left_over(self, *, close: bool = True) -> dict[str, int]:
        """What is still there when all clients have gone; closes the database if nobody else needs it."""
        for peer in self.peers:
            peer.go()
        self.clock.advance(0)
        found = {
            "calls": len(self.clock.getDelayedCalls()),
            "topics": len(self.bus),
            "connections": len(self.parts.admission),
        }
        if close:
            self.database.close()
        return {what: number for what, number in found.items() if number}
