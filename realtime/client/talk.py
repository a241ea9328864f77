"""A client of talk (docs/talk.md): one talk after the other.

- A talk lives as long as its connection, on the server as well: when that is lost, whoever waits for something
  of the talk gets `ConnectionLost`. But who still looks for a partner goes on looking over the next connection.
- What the server's ``error`` ends fails with `RequestFailed`, whose ``code`` is the protocol's: "no-match",
  "partner-left", and so on. In the time for answers "bad-request" and "not-allowed" end nothing: answer again.
- The server closes the connection after each talk; `TalkClient.find` makes another.

Listeners: `Match`, `ChatStart`, `Message`, `ChatStop`, `Answers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred

from realtime.client.client import Client
from realtime.client.errors import ClientError, ConnectionEnded, ConnectionLost, NotConnected, RequestFailed
from realtime.client.line import Opening
from realtime.client.requests import Requests
from realtime.talk.messages import (
    Answer,
    Answers,
    ChatStart,
    ChatStop,
    Error,
    Malformed,
    Match,
    Message,
    Question,
    decode,
)

__all__ = ["Answer", "Answers", "ChatStart", "ChatStop", "Match", "Message", "Question", "TalkClient"]

_DONE: Final = 1000
_STAYS: Final = ("bad-request", "not-allowed")
"""Errors that end nothing while there is time for answers."""


class _Frame(Struct):
    event: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_read_frame = msgspec.json.Decoder(_Frame).decode
_read: dict[str, Any] = {
    kind.event: msgspec.json.Decoder(kind).decode
    for kind in (Match, ChatStart, Message, ChatStop, Answers, Error)
}
_write = msgspec.json.Encoder().encode


class TalkClient(Client):
    """Somebody who looks for somebody to talk to. ``match`` is the talk that it is in, if it is in one."""

    def _prepare(self) -> None:
        self.match: Match | None = None
        self._stop: ChatStop | None = None
        self._stop_awaited: list[Deferred[ChatStop]] = []
        self._requests: Requests[str, Any] = Requests(self._most_pending)
        self._is_closed = False

    # -- for users -----------------------------------------------------------------------------

    def find(self, score: float, questions: Iterable[Question] = ()) -> Deferred[Match]:
        """Look for a partner; fires with the match. Raises ``ValueError`` in a talk, or for a bad question."""
        if self.match is not None:
            raise ValueError("a talk is under way")
        frame = _frame("find", {"score": score, "questions": list(questions)})
        found = self._requests.add(Match.event, frame, again=True)
        if not self._is_closed:
            self._connection.start()
        return found

    def confirm(self) -> Deferred[ChatStart]:
        """Be willing to talk to the match; fires when both are."""
        frame = _frame("confirm", {"match_id": self._current().match_id})
        return self._requests.add(ChatStart.event, frame)

    def say(self, message: str) -> None:
        """Say something to the partner, who may be gone already. Raises `NotConnected` outside of a talk."""
        self._current()
        self._send_now(_frame("message", {"message": message}))

    def stopped(self) -> Deferred[ChatStop]:
        """Fires when the time to talk is over (or at once, if it is), with the partner's questions."""
        self._current()
        awaited: Deferred[ChatStop] = Deferred()
        if self._stop is not None:
            awaited.callback(self._stop)
        else:
            self._stop_awaited.append(awaited)
        return awaited

    def answer(self, answers: Iterable[Answer]) -> Deferred[Answers]:
        """Answer the partner's questions, each of them; fires with the partner's answers: the talk is over."""
        body = {"match_id": self._current().match_id, "answers": list(answers)}
        return self._requests.add(Answers.event, _frame("answers", body))

    def close(self) -> Deferred[None]:
        """See `Client.close`."""
        self._is_closed = True
        return super().close()

    def _current(self) -> Match:
        if self.match is None:
            raise self._error or NotConnected("there is no talk")
        return self.match

    # -- the connection ------------------------------------------------------------------------

    def _opening(self, token: str) -> Opening:
        return Opening(self.url, {"Authorization": f"Bearer {token}"})

    def _opened(self) -> None:
        # talk says nothing before it is asked: whether the token is good shows then.
        self._serve(settles=False)

    def _received(self, payload: bytes, binary: bool) -> None:
        frame = _read_frame(payload)
        read = _read.get(frame.event)
        if read is None:
            return
        message = read(frame.payload)
        match message:
            case Error():
                self._take_error(message)
                return
            case Match():
                self.match, self._stop = message, None
                self._connection.settled()
            case ChatStop():
                self._stop = message
                awaited, self._stop_awaited = self._stop_awaited, []
                for each in awaited:
                    each.callback(message)
            case Answers():
                self._finish(None)
        self._requests.answered(message.event, message)
        self._tell(message)

    def _take_error(self, error: Error) -> None:
        failed = RequestFailed(error.code, error.message)
        if self._stop is not None and error.code in _STAYS:
            self._requests.failed(Answers.event, failed)
        else:
            self._requests.pause()
            self._requests.failed(Match.event, failed)
            self._finish(failed)

    def _finish(self, error: ClientError | None) -> None:
        """The talk is over: what is asked from now on is for another connection."""
        self._requests.pause()
        self.match = self._stop = None
        if error is not None:
            awaited, self._stop_awaited = self._stop_awaited, []
            for each in awaited:
                each.errback(error)
            for event in (ChatStart.event, Answers.event):
                self._requests.failed(event, error)

    def _served(self) -> None:
        self._requests.opened(self._connection.send)

    def _lost(self) -> None:
        self._finish(ConnectionLost("the connection was lost, and the talk with it"))
        self._requests.lost()

    def _ended(self, error: ClientError) -> None:
        self._requests.ended(error)

    def line_ended(self, error: ClientError) -> None:
        """See `connection.Handler`. That a talk is over is no end."""
        if isinstance(error, ConnectionEnded) and error.code == _DONE and not self._is_closed:
            if len(self._requests):
                self._connection.start()
        else:
            super().line_ended(error)


def _frame(event: str, payload: Any) -> bytes:
    """Return a frame. Raises ``ValueError`` for what talk could not read, and would end the talk for."""
    frame = _write({"event": event, "payload": payload})
    if isinstance(decode(frame), Malformed):
        raise ValueError(f"this can't be a {event}")
    return frame
