"""talk's SQL: each talk, whole, from its match on.

A talk is saved again at each change; what was known before stays as it is. Saving twice the same changes
nothing, so that a save whose answer was lost may be made again.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, insert, select, update
from twisted.internet.defer import Deferred

from realtime.storage.database import Database
from realtime.storage.statements import Statement
from realtime.storage.tables import talk_seats, talks, users
from realtime.storage.transaction import Transaction
from realtime.talk.messages import Answer, Question

LATEST = 2**32 - 1
"""Above the id of every talk (INT UNSIGNED on MariaDB and MySQL)."""


class Seat(Struct, frozen=True):
    """One of the two: what it came with, and its answers to the other's questions, once they are in."""

    user_id: int
    user_name: str
    score: float
    questions: tuple[Question, ...]
    answers: tuple[Answer, ...] | None


class Talk(Struct, frozen=True):
    """A talk. Moments are Unix seconds, kept to the second; ``None`` for what it has not come to."""

    match_id: str
    seats: tuple[Seat, Seat]
    matched: float
    started: float | None
    stopped: float | None
    ended: float | None
    outcome: str | None


class StoredTalk(Struct, frozen=True):
    """A talk as one of the two sees it; ``seats`` has that one first."""

    talk_id: int
    talk: Talk


_MOMENTS = ("started", "stopped", "ended")
_FIND = Statement(select(talks.c.id).where(talks.c.match_id == bindparam("match")))
_ADD = Statement(
    insert(talks).values(
        match_id=bindparam("match"),
        matched=bindparam("matched_at"),
        outcome=bindparam("ended_by"),
        **{name: bindparam(f"{name}_at") for name in _MOMENTS},
    )
)
_ADD_SEAT = Statement(
    insert(talk_seats).values(
        talk_id=bindparam("talk"),
        seat=bindparam("number"),
        user_id=bindparam("user"),
        score=bindparam("given_score"),
        questions=bindparam("asked"),
        answers=bindparam("answered"),
    )
)
_GO_ON = Statement(
    update(talks)
    .where(talks.c.id == bindparam("talk"))
    .values(outcome=bindparam("ended_by"), **{name: bindparam(f"{name}_at") for name in _MOMENTS})
)
_ANSWER = Statement(
    update(talk_seats)
    .where(talk_seats.c.talk_id == bindparam("talk"), talk_seats.c.seat == bindparam("number"))
    .values(answers=bindparam("answered"))
)
_own = talk_seats.alias("own")
_others = talk_seats.alias("others")
_own_user = users.alias("own_user")
_others_user = users.alias("others_user")
_OF_USER = Statement(
    select(
        *(talks.c.id, talks.c.match_id, talks.c.matched, *(talks.c[name] for name in _MOMENTS)),
        talks.c.outcome,
        *(_own.c.user_id, _own_user.c.user_name, _own.c.score, _own.c.questions, _own.c.answers),
        *(_others.c.user_id, _others_user.c.user_name, _others.c.score, _others.c.questions),
        _others.c.answers,
    )
    .join_from(_own, talks, talks.c.id == _own.c.talk_id)
    .join(_others, (_others.c.talk_id == _own.c.talk_id) & (_others.c.seat != _own.c.seat))
    .join(_own_user, _own_user.c.id == _own.c.user_id)
    .join(_others_user, _others_user.c.id == _others.c.user_id)
    .where(_own.c.user_id == bindparam("user"), _own.c.talk_id < bindparam("before"))
    .order_by(_own.c.talk_id.desc())
    .limit(bindparam("count"))
)
_questions = msgspec.json.Decoder(tuple[Question, ...])
_answers = msgspec.json.Decoder(tuple[Answer, ...])


class TalkStore:
    """Reads and writes talks. All Deferreds may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, talk: Talk) -> Deferred[None]:
        """Store all that is known of a talk; fires once it is committed."""
        return self._database.write(_save, talk)

    def of_user(self, user_id: int, before: int, count: int) -> Deferred[list[StoredTalk]]:
        """Fires with the newest ``count`` talks of a user whose ids are below ``before``, newest first."""
        return self._database.read(_of_user, user_id, before, count)


def _save(transaction: Transaction, talk: Talk) -> None:
    progress = {"ended_by": talk.outcome} | {
        f"{name}_at": None if moment is None else int(moment)
        for name, moment in zip(_MOMENTS, (talk.started, talk.stopped, talk.ended), strict=True)
    }
    found = transaction.row(_FIND, match=talk.match_id)
    if found is not None:
        (talk_id,) = found
        transaction.execute(_GO_ON, talk=talk_id, **progress)
        for number, seat in enumerate(talk.seats):
            if seat.answers is not None:
                transaction.execute(_ANSWER, talk=talk_id, number=number, answered=_text(seat.answers))
        return
    talk_id = transaction.insert(_ADD, match=talk.match_id, matched_at=int(talk.matched), **progress)
    for number, seat in enumerate(talk.seats):
        transaction.execute(
            _ADD_SEAT,
            talk=talk_id,
            number=number,
            user=seat.user_id,
            given_score=seat.score,
            asked=_text(seat.questions),
            answered=None if seat.answers is None else _text(seat.answers),
        )


def _of_user(transaction: Transaction, user_id: int, before: int, count: int) -> list[StoredTalk]:
    return [_stored(row) for row in transaction.rows(_OF_USER, user=user_id, before=before, count=count)]


def _stored(row: tuple[Any, ...]) -> StoredTalk:
    talk_id, match_id, matched, started, stopped, ended, outcome = row[:7]
    seats = _seat(row[7:12]), _seat(row[12:17])
    return StoredTalk(talk_id, Talk(match_id, seats, matched, started, stopped, ended, outcome))


def _seat(row: tuple[Any, ...]) -> Seat:
    user_id, name, score, questions, answers = row
    return Seat(
        user_id,
        name,
        score,
        _questions.decode(questions),
        None if answers is None else _answers.decode(answers),
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
