"""A deal between two parties in all three forms, from the first message to the disputed service.

In the middle one of them reconnects, and the server is killed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec

from tests.endtoend.client import Client, connect
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.web import ask
from tests.reactor import in_reactor

ERROR, PING, PONG = 0x00, 0x01, 0x02
ASK, CONVERSATIONS, CREATE, STATUS, OPENED, ALERT, SEEN = 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11
UPDATE, PROPOSE, NOTE, DISPUTE, TERMINATE, PRICE, END = 0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6
REPORT = 0xFE


class Trader(Client):
    """A client of market in one of the forms; it answers PINGs."""

    form = ""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer a PING, and keep all else."""
        if self.form == "market.json":
            packet = json.loads(payload)
            opcode = packet["type"]
        else:
            opcode = payload[0]
        if opcode == PING:
            self.emit(PONG)
        else:
            super().onMessage(payload, isBinary)

    def emit(self, opcode: int, body: Any = None) -> None:
        """Send a packet."""
        if self.form == "market.json":
            data = "pong" if opcode == PONG else body
            self.sendMessage(json.dumps({"type": opcode, "data": data}).encode())
        else:
            encode = json_bytes if self.form == "market.binary" else msgspec.msgpack.encode
            self.sendMessage(bytes([opcode]) + (b"" if body is None else encode(body)), isBinary=True)

    async def packet(self) -> tuple[int, Any]:
        """The next packet that is no PING."""
        frame = await self.next()
        if isinstance(frame, str):
            packet = json.loads(frame)
            return packet["type"], packet["data"]
        decode: Callable[[bytes], Any] = json.loads if self.form == "market.binary" else msgspec.msgpack.decode
        return frame[0], decode(frame[1:])

    async def expect(self, opcode: int) -> Any:
        """The body of the next packet, which has this opcode."""
        got, body = await self.packet()
        assert got == opcode, (hex(got), body)
        return body

    async def conversations(self) -> list[Any]:
        """Ask for the conversations."""
        self.emit(ASK)
        body = await self.expect(CONVERSATIONS)
        found: list[Any] = body if self.form == "market.json" else body["conversations"]
        return found


class TextTrader(Trader):
    """As the browser client in the field."""

    form = "market.json"


class BinaryTrader(Trader):
    """With opcode packets."""

    form = "market.binary"


class MsgpackTrader(Trader):
    """With MessagePack bodies."""

    form = "market.msgpack"


def json_bytes(body: Any) -> bytes:
    """A body as JSON."""
    return json.dumps(body).encode()


def authorization(name: str) -> dict[str, Any]:
    """The header that says who asks."""
    return {"Authorization": f"Bearer {PRIVATE}-{name}"}


async def enter(daemon: DaemonProcess, name: str, kind: type[Trader]) -> Any:
    """Connect in a form."""
    return await connect(
        daemon.port, "/market", protocol=kind, headers=authorization(name), subprotocols=[kind.form]
    )


def add_users(daemon: DaemonProcess) -> None:
    """Two parties and an administrator, with tokens."""
    with closing(sqlite3.connect(daemon.folder / "var" / "realtime.db")) as database, database:
        database.executemany(
            "INSERT INTO users (user_name, user_password, token, is_admin) VALUES (?, '', ?, ?)",
            [(name, f"{PRIVATE}-{name}", name == "admin") for name in ("alice", "bob", "admin")],
        )


@in_reactor
async def test_a_deal(start_daemon: Start) -> None:
    """From the first message to the dispute; a reconnect and a kill on the way."""
    daemon = await start_daemon()
    add_users(daemon)
    alice, phone = await enter(daemon, "alice", TextTrader), await enter(daemon, "alice", BinaryTrader)
    bob = await enter(daemon, "bob", MsgpackTrader)

    # The first message opens the conversation; the author's other connection and the other party hear of it.
    alice.emit(CREATE, {"id": "t1", "msg": f"{PRIVATE} <b>Hello</b>", "to": 2})
    status = await alice.expect(STATUS)
    conversation, message = status["conversation"], status["json"]
    assert status == {"sent": True, "conversation": conversation, "json": message, "fakeId": "t1"}
    assert message["content"] == f"{PRIVATE} <b>Hello</b>"
    assert message["sender"] == {"id": 1, "username": "alice"}
    assert not message["seen"]
    for each in (phone, bob):
        assert await each.expect(ALERT) == {"conversation": conversation, "json": message}

    # The same again, as a client does that got no answer, is the same message, and nobody else hears of it.
    alice.emit(CREATE, {"id": "t1", "msg": f"{PRIVATE} <b>Hello</b>", "conversation": conversation})
    assert (await alice.expect(STATUS))["json"]["id"] == message["id"]

    bob.emit(OPENED, {"conversation": conversation})
    for each in (alice, phone):
        assert await each.expect(SEEN) == {"conversation": conversation, "message": message["id"]}

    # A service is proposed by bob, haggled over, and agreed.
    async def step(who: Any, opcode: int, **body: Any) -> Any:
        """Take a step; all connections are told what the system says, then how things stand."""
        who.emit(opcode, {"conversation": {"id": conversation}, **body})
        told = []
        for each in (alice, phone, bob):
            alert, update = await each.expect(ALERT), await each.expect(UPDATE)
            assert alert["json"]["sender"] == {"id": 0, "username": "system"}
            assert update["conversation"] == conversation
            told.append((alert, update))
        assert told[0] == told[1] == told[2]
        return told[0][1]["services"][-1]

    service = await step(bob, PROPOSE, service={"title": "Paint", "price": 100, "client": 1})
    assert (service["status"], service["price"], service["client"], service["recipient"]) == (
        *("negotiating", "100.00"),
        *(1, 2),
    )
    named = {"service": {"id": service["id"]}}
    assert (await step(phone, PRICE, **named, price="80.5"))["price"] == "80.50"
    phone.emit(END, {"conversation": conversation, "service": service["id"]})
    assert await phone.expect(ERROR) == {
        "opcode": END,
        "code": "not-allowed",
        "message": (await refused_again(phone, END, conversation, service["id"]))["message"],
    }
    assert (await step(bob, END, **named))["status"] == "agreed"

    # Bob's connection breaks, and the server is killed: what was acknowledged is there again.
    bob.transport.abortConnection()
    await bob.closed
    alice.emit(CREATE, {"id": 2, "msg": "Are you there?", "conversation": conversation})
    await alice.expect(STATUS)
    await daemon.kill()
    daemon = await start_daemon()
    alice, phone = await enter(daemon, "alice", TextTrader), await enter(daemon, "alice", BinaryTrader)
    bob = await enter(daemon, "bob", MsgpackTrader)
    (shown,) = await bob.conversations()
    assert (shown["id"], shown["with"], shown["hasNewMessage"]) == (
        conversation,
        {"id": 1, "username": "alice"},
        True,
    )
    assert shown["messages"][-1]["content"] == "Are you there?"
    assert [each["status"] for each in shown["services"]] == ["agreed"]

    # The end: done, disputed, noted by both; and reported.
    assert (await step(alice, TERMINATE))["status"] == "terminated"
    assert (await step(bob, DISPUTE, **named, reason="not paid"))["status"] == "disputed"
    await step(alice, NOTE, **named, grade=1)
    noted = await step(bob, NOTE, **named, opinion={"grade": 0, "description": "never again"})
    assert [note["grade"] for note in noted["notes"]] == [1, 0]
    bob.emit(REPORT, {"conversation": conversation, "reason": f"{PRIVATE} fraud"})
    await bob.conversations()  # answered after the report is stored
    answer = await ask(daemon.port, "/v1/reports", **authorization("admin"))
    (report,) = json.loads(answer.body)["reports"]
    assert (report["kind"], report["object"], report["reporter"]["id"]) == ("conversation", conversation, 2)
    path = f"/v1/reports/{report['id']}/resolve"
    assert (await ask(daemon.port, path, method="POST", **authorization("bob"))).status == 403
    assert (await ask(daemon.port, path, method="POST", **authorization("admin"))).status == 200


async def refused_again(who: Any, opcode: int, conversation: int, service: int) -> Any:
    """The same refusal once more: it has the same words."""
    who.emit(opcode, {"conversation": conversation, "service": service})
    return await who.expect(ERROR)


@in_reactor
async def test_who_may_not(start_daemon: Start) -> None:
    """A refused token is an HTTP answer; bad packets are answered, and what is others' is as if it were not."""
    daemon = await start_daemon()
    add_users(daemon)
    refused: tuple[dict[str, Any], ...] = ({}, {"Authorization": "Bearer wrong"})
    for headers in refused:
        answer = await ask(
            daemon.port,
            "/market",
            Connection="Upgrade",
            Upgrade="websocket",
            Sec_WebSocket_Version="13",
            Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
            **headers,
        )
        assert answer.status == 401
    alice, admin = await enter(daemon, "alice", TextTrader), await enter(daemon, "admin", BinaryTrader)
    alice.emit(CREATE, {"msg": "Hello", "to": 2})
    conversation = (await alice.expect(STATUS))["conversation"]
    foreign: list[Any] = []
    absent: list[Any] = []
    asked: list[tuple[int, Any]] = [(OPENED, {}), (PROPOSE, {"service": {"price": 1}}), (REPORT, {})]
    for number, errors in ((conversation, foreign), (999_999, absent)):
        for opcode, body in asked:
            admin.emit(opcode, {"conversation": number, **body})
            errors.append(await admin.expect(ERROR))
    assert foreign == absent
    assert {error["code"] for error in foreign} == {"not-found"}
    faults: list[tuple[int, Any, str]] = [
        *((0x42, {}, "unknown-opcode"), (STATUS, {}, "unknown-opcode"), (CREATE, [], "bad-request")),
        (PROPOSE, {"conversation": conversation, "service": {"price": -1}}, "bad-request"),
    ]
    for opcode, body, code in faults:
        alice.emit(opcode, body)
        assert (await alice.expect(ERROR))["code"] == code
    admin.sendMessage(b"", isBinary=True)
    assert await admin.closed == 1007
    alice.sendMessage(b"\x05", isBinary=True)
    assert await alice.closed == 1003
