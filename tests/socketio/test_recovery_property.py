"""Recovery under any interleaving: whoever recovers has each event that was for it once and in order."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from realtime.socketio.socket import Socket
from tests.socketio.namespaces import Player, ServerTestCase

SECONDS = 120.0
KEPT = 185.0
CLIENTS = 3
ROOMS = "ab"


class Life:
    """What a client is from when it began anew: ``due`` is what was for it, in order."""

    def __init__(self) -> None:
        self.due: list[int] = []
        self.rooms: set[str] = set()
        self.lost_at: float | None = None
        self.unseen_since: float | None = None
        self.is_over = False


class Visitor:
    """A client. ``own`` is what it knows itself to be, ``got`` what it has been told since it began."""

    def __init__(self) -> None:
        self.player: Player | None = None
        self.socket: Socket | None = None
        self.admitting: Deferred[None] | None = None
        self.own: dict[str, str] = {}
        self.got: list[tuple[int, str]] = []
        self.life = Life()


_visitors = st.integers(0, CLIENTS - 1)
_rooms = st.sampled_from(ROOMS)
_steps = st.one_of(
    st.tuples(st.just("tell"), _rooms, st.one_of(st.none(), _visitors)),
    st.tuples(st.just("emit"), _visitors),
    st.tuples(st.just("join"), _visitors, _rooms),
    st.tuples(st.just("leave"), _visitors, _rooms),
    st.tuples(st.just("read"), _visitors),
    st.tuples(st.just("lose"), _visitors),
    st.tuples(
        st.just("back"),
        _visitors,
        st.sampled_from(["right", "right", "right", "old", "none", "other log", "wrong", "wrong pid"]),
        st.booleans(),
    ),
    st.tuples(st.just("finish"), _visitors),
    st.tuples(st.just("wait"), st.sampled_from([1, 15, 70, 125])),
)


class InterleavingTests(ServerTestCase):
    """Clients that come, go, join, leave, and come back, in any order."""

    recovery_seconds = SECONDS

    @settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(_steps, max_size=40), st.sampled_from([32 * 1024 * 1024, 3000]))
    def test_each_event_once_and_in_order(self, steps: list[tuple[Any, ...]], most_bytes: int) -> None:
        """Whoever recovers has all that was for it; who can't has another id and nothing of before."""
        self.configure(send_buffer_bytes=1_000_000)
        self.root.says_goodbye = False
        returning = self.namespaces["/"]._returning
        assert returning is not None
        self.log = returning.log
        self.log._most_bytes = most_bytes
        self.is_roomy = most_bytes > 3000
        self.told = 0
        self.visitors = [Visitor() for _ in range(CLIENTS)]
        self.lives: dict[str, Life] = {}
        for visitor in self.visitors:
            self.back(visitor, "right", slow=False)
            self.read(visitor)
        for word, *arguments in steps:
            if word in ("tell", "wait"):
                getattr(self, word)(*arguments)
            else:
                number, *more = arguments
                getattr(self, word)(self.visitors[number], *more)
        for visitor in self.visitors:
            self.finish(visitor)
            if visitor.player is None:
                self.back(visitor, "right", slow=False)
            self.read(visitor)
            self.assertEqual([number for number, _ in visitor.got], visitor.life.due)
        self.tearDown()

    # -- what happens --------------------------------------------------------------------------

    def tell(self, room: str, but: int | None) -> None:
        """A room is told something."""
        self.told += 1
        left_out = None if but is None else self.visitors[but]
        if left_out is not None and left_out.player is None:
            left_out = None  # nobody can be left out who is not there
        for life in self.lives.values():
            if room in life.rooms and (left_out is None or life is not left_out.life):
                life.due.append(self.told)
        self.namespaces["/"].to(room, "told", self.told, but=None if left_out is None else left_out.socket)

    def emit(self, visitor: Visitor) -> None:
        """One is told something, which may be gone."""
        self.told += 1
        visitor.life.due.append(self.told)
        assert visitor.socket is not None
        self.namespaces["/"].to(visitor.socket.id, "told", self.told)

    def join(self, visitor: Visitor, room: str) -> None:
        """One joins a room."""
        if visitor.player is not None and visitor.admitting is None and visitor.socket is not None:
            visitor.socket.join(room)
            visitor.life.rooms.add(room)

    def leave(self, visitor: Visitor, room: str) -> None:
        """One leaves a room."""
        if visitor.player is not None and visitor.admitting is None and visitor.socket is not None:
            visitor.socket.leave(room)
            visitor.life.rooms.discard(room)

    def read(self, visitor: Visitor) -> None:
        """A client reads what has come: a part of what is due, in order, from the first."""
        if visitor.player is None:
            return
        for message in visitor.player.heard():
            text = str(message)
            if text.startswith("0"):
                own = json.loads(text[1:])
                if own["pid"] != visitor.own.get("pid"):
                    visitor.got.clear()
                visitor.own = own
                assert visitor.socket is not None
                self.assertEqual(
                    (visitor.own["sid"], visitor.own["pid"]), (visitor.socket.id, visitor.socket.private_id)
                )
            else:
                name, number, offset = json.loads(text[1:])
                if name == "told":  # and not the handler's greeting
                    visitor.got.append((number, offset))
        self.assertEqual([number for number, _ in visitor.got], visitor.life.due[: len(visitor.got)])

    def lose(self, visitor: Visitor) -> None:
        """A connection is lost with what is on the way."""
        if visitor.player is not None:
            visitor.player.peer.go()
            visitor.player = None
            visitor.admitting = None
            visitor.life.lost_at = self.clock.seconds()

    def back(self, visitor: Visitor, how: str, slow: bool) -> None:
        """A client comes (back); its old connection may still seem to be there."""
        auth: dict[str, Any] = {"how": "wait" if slow else "quiet"}
        before = visitor.own
        if visitor.own:
            auth["pid"] = visitor.own["pid"]
            if visitor.got:
                auth["offset"] = visitor.got[-1][1]
            if how == "old" and len(visitor.got) > 1:
                del visitor.got[len(visitor.got) // 2 :]
                auth["offset"] = visitor.got[-1][1]
            elif how in ("none", "other log"):
                visitor.got.clear()
                auth["offset"] = "other-7" if how == "other log" else None
            elif how == "wrong":
                auth["offset"] = f"{self.log.next_offset()}0"
            elif how == "wrong pid":
                auth["pid"] = visitor.own["sid"] + "x" * 20
        if visitor.player is not None:
            visitor.life.unseen_since = self.clock.seconds()  # it may be missed from now on
        quiet = json.dumps(auth)
        player = self.player()
        player.heard()
        waiting = len(self.root.admitting)
        player.say(f"0{quiet}")
        visitor.player = player
        visitor.socket = socket = self.root.sockets[-1]
        visitor.admitting = self.root.admitting[-1] if len(self.root.admitting) > waiting else None
        life = self.lives.get(before.get("pid", ""))
        assert socket.private_id is not None
        if socket.is_recovered:
            self.assertEqual(dict(before), {"sid": socket.id, "pid": socket.private_id})
            visitor.life = self.lives[socket.private_id]
        else:
            self.assertNotIn(socket.private_id, self.lives)
            visitor.life = self.lives[socket.private_id] = Life()
        self.assertEqual(set(socket.rooms), visitor.life.rooms)
        if how in ("wrong", "wrong pid"):
            self.assertFalse(socket.is_recovered)
        elif life is not None and not life.is_over:
            now = self.clock.seconds()
            if life.lost_at is not None and now - life.lost_at >= SECONDS:
                self.assertFalse(socket.is_recovered)
            moments = [each for each in (life.lost_at, life.unseen_since) if each is not None]
            if self.is_roomy and now < KEPT and now - min(moments, default=now) < SECONDS:
                self.assertTrue(socket.is_recovered)
        if life is not None and life is not visitor.life:
            life.is_over |= how != "wrong pid"
        visitor.life.lost_at = visitor.life.unseen_since = None

    def finish(self, visitor: Visitor) -> None:
        """A handler has made up its mind."""
        if visitor.admitting is not None:
            waiting, visitor.admitting = visitor.admitting, None
            waiting.callback(None)

    def wait(self, seconds: int) -> None:
        """Time passes, and who is there says that it lives."""
        for _ in range(0, seconds, 5):
            self.clock.advance(min(5, seconds))
            for visitor in self.visitors:
                if visitor.player is not None:
                    visitor.player.peer.text(b"3")
