"""``GET /v1/talks``: a user's own talks, newest first.

::

    GET /v1/talks?limit=50&before=<id>
    {"talks": [{"id", "match_id", "partner": {"user_id", "username"}, "score", "matched", "started",
                "stopped", "ended", "outcome", "questions": [{"id", "question", "answer"}],
                "partner_questions": [{"id", "question", "answer"}]}],
     "next": <id>}

Times are ISO 8601 in UTC. ``outcome`` is ``answered``, the code of the error that ended the talk, or null
while it lasts; an answer that was not given is null, and so is ``next`` at the end: otherwise it is what to ask
for as ``before``. The partner's score is the partner's own affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from realtime.accounts.authentication import Authenticator
from realtime.talk.messages import Answer, Question
from realtime.talk.store import LATEST, StoredTalk, TalkStore
from realtime.web.api import ApiResource, Call, Handler, not_found
from realtime.web.sharing import Sharing

_MOST = 100


class TalksResource(ApiResource):
    """Answers with as many talks as were asked for and fit into ``history_bytes``."""

    def __init__(
        self, authenticator: Authenticator, sharing: Sharing, store: TalkStore, history_bytes: int
    ) -> None:
        super().__init__(authenticator, sharing)
        self._store = store
        self._history_bytes = history_bytes

    async def read(self, call: Call) -> object:
        """GET."""
        if call.path:
            raise not_found()
        count = call.number("limit", default=50, least=1, most=_MOST)
        before = call.number("before", default=LATEST, least=1, most=LATEST)
        found = await self._store.of_user(call.user.id, before, count)
        talks: list[msgspec.Raw] = []
        size = 0
        for stored in found:
            talk = msgspec.json.encode(_as_json(stored))
            size += len(talk)
            if talks and size > self._history_bytes:
                break
            talks.append(msgspec.Raw(talk))
        is_last = len(found) < count and len(talks) == len(found)
        return {"talks": talks, "next": None if is_last else found[len(talks) - 1].talk_id}

    handlers: ClassVar[Mapping[str, Handler]] = {"GET": read}


def _as_json(stored: StoredTalk) -> dict[str, Any]:
    talk = stored.talk
    own, partner = talk.seats
    return {
        "id": stored.talk_id,
        "match_id": talk.match_id,
        "partner": {"user_id": partner.user_id, "username": partner.user_name},
        "score": own.score,
        "matched": _moment(talk.matched),
        "started": _moment(talk.started),
        "stopped": _moment(talk.stopped),
        "ended": _moment(talk.ended),
        "outcome": talk.outcome,
        "questions": _with_answers(own.questions, partner.answers),
        "partner_questions": _with_answers(partner.questions, own.answers),
    }


def _with_answers(
    questions: tuple[Question, ...], answers: tuple[Answer, ...] | None
) -> list[dict[str, object]]:
    given = {answer.question_id: answer.answer for answer in answers or ()}
    return [{"id": each.id, "question": each.question, "answer": given.get(each.id)} for each in questions]


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
