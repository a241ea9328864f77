"""The stories of the talk document, between real connections to a real daemon with short phases."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from tests.documents import talk as document
from tests.endtoend.client import Client, connect
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.web import ask
from tests.reactor import in_reactor

QUESTIONS = json.loads(document.FIND)["questions"]
ANSWERS = json.loads(document.ANSWERS)["answers"]

UNLIMITED = {
    "REALTIME_TALK_FIND_TIMEOUT": "90",
    "REALTIME_TALK_CONFIRM_TIMEOUT": "90",
    "REALTIME_TALK_TALK_DURATION": "90",
    "REALTIME_TALK_ANSWER_TIMEOUT": "90",
    "REALTIME_TALK_REMATCH_AFTER": "0",
}
"""Phases that no story waits for the end of; each shortens the one that it is about.

And the same two may meet again and again.
"""


class Talker(Client):
    """A client of talk."""

    async def event(self) -> tuple[str, Any]:
        """The next event, and its payload."""
        frame = json.loads(await self.next())
        return frame["event"], frame.get("payload")

    async def expect(self, name: str) -> Any:
        """The payload of the next event, which has this name."""
        event, payload = await self.event()
        assert event == name, (event, payload)
        return payload

    async def expect_end(self, code: str, close_code: int = 1000) -> None:
        """The next event is an error, and the last."""
        assert (await self.expect("error"))["code"] == code
        assert await self.closed == close_code
        assert not self.frames

    def emit(self, name: str, **payload: Any) -> None:
        """Send an event."""
        self.sendMessage(json.dumps({"event": name, "payload": payload}).encode())

    def cut(self) -> None:
        """Be gone without a word."""
        transport: Any = self.transport
        transport.abortConnection()

    def find(self, score: float = 0.3) -> None:
        """Look for somebody, with the document's questions."""
        self.emit("find", score=score, questions=QUESTIONS)


async def enter(daemon: DaemonProcess, name: str) -> Talker:
    """Connect with a token in the header, as the document says."""
    talker: Talker = await connect(daemon.port, "/talk", protocol=Talker, headers=authorization(name))
    return talker


def authorization(name: str) -> dict[str, Any]:
    """The header that says who asks."""
    return {"Authorization": f"Bearer {PRIVATE}-{name}"}


async def start(start_daemon: Start, **shortened: str) -> DaemonProcess:
    """A daemon with one short phase, and three accounts with tokens."""
    short = {f"REALTIME_TALK_{name.upper()}": seconds for name, seconds in shortened.items()}
    daemon = await start_daemon(environment={**UNLIMITED, **short})
    with closing(sqlite3.connect(daemon.folder / "var" / "realtime.db")) as database, database:
        database.executemany(
            "INSERT INTO users (user_name, user_password, token) VALUES (?, '', ?)",
            [(name, f"{PRIVATE}-{name}") for name in ("alice", "bob", "carol")],
        )
    return daemon


async def matched(daemon: DaemonProcess) -> tuple[Talker, Talker, str]:
    """Two who have found each other, and what their match is called."""
    alice, bob = await enter(daemon, "alice"), await enter(daemon, "bob")
    alice.find(0.3)
    bob.find(0.35)
    match = await alice.expect("match")
    assert (await bob.expect("match"))["match_id"] == match["match_id"]
    assert match["username"] == "bob"
    return alice, bob, match["match_id"]


async def talking(daemon: DaemonProcess) -> tuple[Talker, Talker, str]:
    """Two who have confirmed."""
    alice, bob, match_id = await matched(daemon)
    for each in (alice, bob):
        each.emit("confirm", match_id=match_id)
    for each in (alice, bob):
        assert await each.expect("chat-start") is None
    return alice, bob, match_id


async def answering(daemon: DaemonProcess) -> tuple[Talker, Talker, str]:
    """Two whose time to talk is over."""
    alice, bob, match_id = await talking(daemon)
    for each in (alice, bob):
        assert await each.expect("chat-stop") == {"questions": QUESTIONS}
    return alice, bob, match_id


@in_reactor
async def test_the_happy_story(start_daemon: Start) -> None:
    """From find to the answers, and what is kept of it."""
    daemon = await start(start_daemon, talk_duration="1")
    alice, bob, match_id = await talking(daemon)
    for number in range(5):
        alice.emit("message", message=f"number {number}")
        bob.emit("message", message=f"Nummer {number} \N{SNOWMAN}")
    for number in range(5):
        assert await bob.expect("message") == {"message": f"number {number}"}
        assert await alice.expect("message") == {"message": f"Nummer {number} \N{SNOWMAN}"}
    for each in (alice, bob):
        assert await each.expect("chat-stop") == {"questions": QUESTIONS}
    for each in (alice, bob):
        each.emit("answers", match_id=match_id, answers=ANSWERS)
    for each in (alice, bob):
        assert await each.expect("answers") == {"match_id": match_id, "answers": ANSWERS}
        assert await each.closed == 1000
    answer = await ask(daemon.port, "/v1/talks", **authorization("alice"))
    (talk,) = json.loads(answer.body)["talks"]
    assert (talk["match_id"], talk["outcome"], talk["partner"]["username"]) == (match_id, "answered", "bob")
    assert [each["answer"] for each in talk["questions"]] == ["Yes.", "No.", "Yes."]
    assert None not in [talk[name] for name in ("matched", "started", "stopped", "ended")]


@in_reactor
async def test_nobody_there(start_daemon: Start) -> None:
    """A search that finds nobody ends with no-match."""
    daemon = await start(start_daemon, find_timeout="0.5")
    alice = await enter(daemon, "alice")
    alice.find()
    await alice.expect_end("no-match")


@in_reactor
async def test_confirm_timeout(start_daemon: Start) -> None:
    """If one does not confirm, both are told."""
    daemon = await start(start_daemon, confirm_timeout="0.5")
    alice, bob, match_id = await matched(daemon)
    alice.emit("confirm", match_id=match_id)
    for each in (alice, bob):
        await each.expect_end("confirm-timeout")


@in_reactor
async def test_answer_timeout(start_daemon: Start) -> None:
    """If one does not answer, both are told; what is late or incomplete hurts nobody before."""
    daemon = await start(start_daemon, talk_duration="0.5", answer_timeout="1.5")
    alice, bob, match_id = await answering(daemon)
    alice.emit("message", message="too late")
    assert (await alice.expect("error"))["code"] == "not-allowed"
    alice.emit("answers", match_id=match_id, answers=ANSWERS[:2])
    assert (await alice.expect("error"))["code"] == "bad-request"
    alice.emit("answers", match_id=match_id, answers=ANSWERS)
    for each in (alice, bob):
        await each.expect_end("answer-timeout")


@in_reactor
async def test_a_late_message(start_daemon: Start) -> None:
    """A message that crossed chat-stop on its way destroys nobody's answers."""
    daemon = await start(start_daemon, talk_duration="0.5")
    alice, bob, match_id = await answering(daemon)
    alice.emit("message", message="too late")
    assert (await alice.expect("error"))["code"] == "not-allowed"
    for each in (alice, bob):
        each.emit("answers", match_id=match_id, answers=ANSWERS)
    for each in (alice, bob):
        await each.expect("answers")
        assert await each.closed == 1000


@in_reactor
async def test_leaving(start_daemon: Start) -> None:
    """Who leaves in whatever phase before its answers are in leaves the other with an error at once."""
    daemon = await start(start_daemon, talk_duration="0.5")
    for phase in (matched, talking, answering):
        alice, bob, _ = await phase(daemon)
        alice.cut()
        await bob.expect_end("partner-left")


@in_reactor
async def test_leaving_the_queue(start_daemon: Start) -> None:
    """Who has left the queue is not found any more."""
    daemon = await start(start_daemon, find_timeout="1")
    alice, bob = await enter(daemon, "alice"), await enter(daemon, "bob")
    alice.find()
    alice.sendClose(1000)
    assert await alice.closed == 1000
    bob.find()
    await bob.expect_end("no-match")


@in_reactor
async def test_leaving_after_the_answers(start_daemon: Start) -> None:
    """Who has answered may go; the other still answers, and gets the answers."""
    daemon = await start(start_daemon, talk_duration="0.5")
    alice, bob, match_id = await answering(daemon)
    alice.emit("answers", match_id=match_id, answers=ANSWERS)
    alice.sendClose(1000)
    assert await alice.closed == 1000
    bob.emit("answers", match_id=match_id, answers=ANSWERS)
    assert await bob.expect("answers") == {"match_id": match_id, "answers": ANSWERS}
    assert await bob.closed == 1000


@in_reactor
async def test_replaced(start_daemon: Start) -> None:
    """A newer connection of the same user takes the older one's place, whose partner is told."""
    daemon = await start(start_daemon)
    alice, bob, _ = await talking(daemon)
    again = await enter(daemon, "alice")
    await alice.expect_end("replaced", 4409)
    await bob.expect_end("partner-left")
    carol = await enter(daemon, "carol")
    again.find()
    carol.find()
    assert (await again.expect("match"))["username"] == "carol"


@in_reactor
async def test_peers_faults(start_daemon: Start) -> None:
    """Wrong tokens, frames that are none and events at the wrong time are answered, and end alone."""
    daemon = await start(start_daemon)
    for path in ("/talk", "/talk?token=wrong"):
        stranger: Talker = await connect(daemon.port, path, protocol=Talker)
        await stranger.expect_end("unauthorized", 4401)
    for frame, code in (
        ("no JSON", "bad-request"),
        ('{"event": "dance"}', "bad-request"),
        ('{"event": "find", "payload": {"score": NaN, "questions": []}}', "bad-request"),
        ('{"event": "find", "payload": {"score": 1e309, "questions": []}}', "bad-request"),
        ('{"event": "find", "payload": {"score": "0.3", "questions": []}}', "bad-request"),
        ('{"event": "find", "payload": {"score": true, "questions": []}}', "bad-request"),
        ('{"event": "message", "payload": {"message": "hello?"}}', "not-allowed"),
    ):
        alice = await enter(daemon, "alice")
        alice.sendMessage(frame.encode())
        await alice.expect_end(code, 1008)
    alice, bob, _ = await matched(daemon)
    alice.emit("confirm", match_id="somebody else's")
    await alice.expect_end("bad-request", 1008)
    await bob.expect_end("partner-left")
