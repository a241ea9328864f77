"""talk between processes: nobody can tell which one it is on, whichever dies, and whatever becomes of Redis."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.web import ask
from tests.reactor import in_reactor
from tests.scenarios.conftest import StartServer
from tests.scenarios.test_talk import ANSWERS, QUESTIONS, UNLIMITED, Talker, authorization, enter
from tests.services import RedisServer

_clock: Any = reactor
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")


async def start(start_server: StartServer, folder: Path, count: int, **shortened: str) -> list[DaemonProcess]:
    """A server of so many processes, and accounts with tokens."""
    short = {f"REALTIME_TALK_{name.upper()}": seconds for name, seconds in shortened.items()}
    daemons: list[DaemonProcess] = await start_server(count, environment={**UNLIMITED, **short})
    with closing(sqlite3.connect(folder / "var" / "realtime.db")) as database, database:
        database.executemany(
            "INSERT INTO users (user_name, user_password, token) VALUES (?, '', ?)",
            [(name, f"{PRIVATE}-{name}") for name in NAMES],
        )
    return daemons


async def talking(
    first: tuple[DaemonProcess, str], second: tuple[DaemonProcess, str], score: float = 0.3
) -> tuple[Talker, Talker, str]:
    """Two who talk; the process of the first holds the conversation."""
    one = await enter(*first)
    one.find(score)
    await deferLater(_clock, 0.1)
    other = await enter(*second)
    other.find(score)
    match_id = (await one.expect("match"))["match_id"]
    match = await other.expect("match")
    assert (match["match_id"], match["username"]) == (match_id, first[1])
    for each in (one, other):
        each.emit("confirm", match_id=match_id)
    for each in (one, other):
        assert await each.expect("chat-start") is None
    return one, other, match_id


async def heard(speaker: Talker, listener: Talker, text: str) -> None:
    """Something is said, and heard."""
    speaker.emit("message", message=text)
    assert await listener.expect("message") == {"message": text}


async def ended_within(seconds: float, talker: Talker, code: str, close_code: int) -> None:
    """It is told that it is over before so many seconds have passed."""
    begin = _clock.seconds()
    await Deferred.fromCoroutine(talker.expect_end(code, close_code))
    assert _clock.seconds() - begin < seconds


@in_reactor
async def test_the_happy_story(start_server: StartServer, tmp_path: Path) -> None:
    """Between two processes a talk is the same, to its end; either lists it."""
    daemons = await start(start_server, tmp_path, 2, talk_duration="1")
    alice, bob, match_id = await talking((daemons[0], "alice"), (daemons[1], "bob"))
    for number in range(20):
        alice.emit("message", message=f"number {number}")
        bob.emit("message", message=f"Nummer {number} \N{SNOWMAN}")
    for number in range(20):
        assert await bob.expect("message") == {"message": f"number {number}"}
        assert await alice.expect("message") == {"message": f"Nummer {number} \N{SNOWMAN}"}
    for each in (alice, bob):
        assert await each.expect("chat-stop") == {"questions": QUESTIONS}
    bob.emit("message", message="too late")
    assert (await bob.expect("error"))["code"] == "not-allowed"
    for each in (alice, bob):
        each.emit("answers", match_id=match_id, answers=ANSWERS)
    for each in (alice, bob):
        assert await each.expect("answers") == {"match_id": match_id, "answers": ANSWERS}
        assert await each.closed == 1000
    for daemon, name, partner in zip(daemons, ("alice", "bob"), ("bob", "alice"), strict=True):
        answer = await ask(daemon.port, "/v1/talks", **authorization(name))
        (talk,) = json.loads(answer.body)["talks"]
        assert (talk["match_id"], talk["outcome"]) == (match_id, "answered")
        assert talk["partner"]["username"] == partner
    await gatherResults([daemon.stop() for daemon in daemons])


@in_reactor
async def test_processes_are_killed(start_server: StartServer, tmp_path: Path) -> None:
    """Who talked to somebody there is told within ten seconds; who waited elsewhere finds somebody."""
    first, second, third = await start(start_server, tmp_path, 3)
    alice, bob, _ = await talking((first, "alice"), (second, "bob"))
    carol, dave, _ = await talking((second, "carol"), (third, "dave"))
    await heard(dave, carol, "Hello")
    erin = await enter(second, "erin")
    erin.find()
    await gatherResults([first.kill(), third.kill()])  # the holder of one, the other's partner, the matchmaker
    await ended_within(10, bob, "partner-left", 1000)
    await ended_within(1, carol, "partner-left", 1000)
    frank = await enter(second, "frank")
    frank.find()
    assert (await erin.expect("match"))["username"] == "frank"
    assert alice.closed.called
    assert dave.closed.called
    await second.stop()


@in_reactor
async def test_redis_is_disturbed(start_server: StartServer, redis: RedisServer, tmp_path: Path) -> None:
    """It stands still, restarts empty, and goes: what can go on does, the rest is told so in ten seconds."""
    daemons = await start(start_server, tmp_path, 2)
    alice, bob, _ = await talking((daemons[0], "alice"), (daemons[1], "bob"))
    carol = await enter(daemons[0], "carol")
    carol.find()
    redis.pause()
    alice.emit("message", message="while it stands still")
    bob.emit("message", message="so do I")
    await deferLater(_clock, 3.2)  # longer than it takes to be noticed
    redis.resume()
    assert await bob.expect("message") == {"message": "while it stands still"}
    assert await alice.expect("message") == {"message": "so do I"}
    await deferToThread(redis.restart)
    await heard(bob, alice, "after the restart")
    dave = await enter(daemons[1], "dave")
    dave.find()
    assert (await carol.expect("match"))["username"] == "dave"
    await dave.expect("match")
    await deferToThread(redis.kill)
    erin = await enter(daemons[0], "erin")
    erin.find()
    await gatherResults(
        [
            Deferred.fromCoroutine(ended_within(10, each, "unavailable", 1013))
            for each in (alice, bob, carol, dave, erin)
        ]
    )
    await gatherResults([daemon.stop() for daemon in daemons])
