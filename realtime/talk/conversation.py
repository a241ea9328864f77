"""One talk of two: what each may say in which phase, and how it ends. No I/O; the clock is handed in.

::

    CONFIRMING --both confirm--> TALKING --talk time over--> ANSWERING --both answer--> SAVING
        |                           |                           |                         |
        +--time over, one leaves----+-one leaves----------------+--time over, one leaves--+-saved or not--> OVER

A phase's timer starts when the phase is entered, in the turn in which both are told of it, and is
cancelled on every way out. The talk's record is written at the match and at each change of phase, whole
each time, so that a write that fails is made good by the next; only the one that holds both sides'
answers is waited for.

Decisions where the document and talk.md are silent:

- Who breaks the rules while confirming or talking is told so and has left; the partner is told no more
  than that it has left.
- An event that has no place in the phase is ``not-allowed``, whatever it names; a foreign match id is
  ``bad-request``.
- Who has answered may leave: its partner may still answer, and gets the answers.
- While the answers are being saved nothing that either side sends or does changes anything.
- If they can't be saved, both are told ``unavailable`` and get no answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.storage.errors import StorageError
from realtime.talk import messages
from realtime.talk.messages import (
    Answer,
    Answers,
    ChatStart,
    ChatStop,
    ClientMessage,
    Confirm,
    Error,
    Malformed,
    Match,
    Message,
    ServerMessage,
)
from realtime.talk.pool import Seeker
from realtime.talk.store import Seat, Talk

ANSWERED: Final = "answered"
"""The outcome of a talk that went all the way; that of any other is the code of the error that ended it."""


class Participant(Protocol):
    """One of the two, wherever its connection is."""

    def tell(self, message: ServerMessage) -> None:
        """Send it something."""

    def refuse(self, error: Error) -> None:
        """Send it an error after which it stays, unless it makes too many."""

    def finish(self, error: Error | None) -> None:
        """It is over: send the error, if there is one, and close."""


class Engagement(Protocol):
    """A conversation, wherever it is held, for one of the two."""

    def receive(self, participant: Participant, message: ClientMessage | Malformed) -> None:
        """One of the two sent something."""

    def leave(self, participant: Participant) -> None:
        """One of the two is gone."""


class Phase(Enum):
    """Where a conversation stands."""

    CONFIRMING = auto()
    TALKING = auto()
    ANSWERING = auto()
    SAVING = auto()
    OVER = auto()


_NEXT: Final = {
    Phase.CONFIRMING: {Phase.TALKING, Phase.OVER},
    Phase.TALKING: {Phase.ANSWERING, Phase.OVER},
    Phase.ANSWERING: {Phase.SAVING, Phase.OVER},
    Phase.SAVING: {Phase.OVER},
    Phase.OVER: set[Phase](),
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the phases last, in seconds."""

    confirm: float
    talk: float
    answer: float


class _Side:
    """One of the two, and what it has done so far."""

    __slots__ = ("answers", "confirmed", "gone", "other", "participant", "seeker")

    other: _Side

    def __init__(self, seeker: Seeker, participant: Participant) -> None:
        self.seeker = seeker
        self.participant = participant
        self.confirmed = False
        self.answers: tuple[Answer, ...] | None = None
        self.gone = False

    def has_answered(self, answers: tuple[Answer, ...]) -> bool:
        """Whether these are answers to the partner's questions: all of them, each once."""
        asked = [question.id for question in self.other.seeker.questions]
        given = [answer.question_id for answer in answers]
        return len(given) == len(asked) and set(given) == set(asked)


class Conversation:
    """The conversation of two participants, each with what it came with.

    ``save`` stores the record. ``over`` is told once that it is over.
    """

    _log = Logger()

    def __init__(
        self,
        match_id: str,
        first: tuple[Seeker, Participant],
        second: tuple[Seeker, Participant],
        *,
        timeouts: Timeouts,
        clock: IReactorTime,
        save: Callable[[Talk], Deferred[None]],
        over: Callable[[Conversation], None],
    ) -> None:
        self.match_id = match_id
        self._sides = _Side(*first), _Side(*second)
        self._sides[0].other, self._sides[1].other = self._sides[1], self._sides[0]
        self._timeouts = timeouts
        self._clock = clock
        self._save = save
        self._over = over
        self._phase = Phase.CONFIRMING
        self._matched = clock.seconds()
        self._started: float | None = None
        self._stopped: float | None = None
        self._ended: float | None = None
        self._outcome: str | None = None
        self._save_has_failed = False
        self._timer: Deferred[None]

    @property
    def users(self) -> tuple[int, int]:
        """The ids of the two."""
        first, second = self._sides
        return first.seeker.user_id, second.seeker.user_id

    # -- what happens to it --------------------------------------------------------------------

    def begin(self) -> None:
        """Tell each of the two about the other. To be called once, before anything else happens."""
        self._timer = self._start_timer(self._timeouts.confirm, self._confirm_time_over)
        self._save_progress()
        self._tell(lambda side: Match(side.other.seeker.user_name, side.other.seeker.user_id, self.match_id))

    def receive(self, participant: Participant, message: ClientMessage | Malformed) -> None:
        """One of the two sent something."""
        if self._phase is Phase.TALKING and type(message) is Message:
            self._side_of(participant).other.participant.tell(message)  # the shortest way for most of all
            return
        if self._phase in (Phase.SAVING, Phase.OVER):
            return
        side = self._side_of(participant)
        error = self._take(side, message)
        if error is None:
            return
        if self._phase is Phase.ANSWERING:
            participant.refuse(error)
        else:
            self.leave(participant)
            participant.finish(error)

    def leave(self, participant: Participant, error: Error = messages.PARTNER_LEFT) -> None:
        """One of the two is gone, which is an error for the other if there is nothing left for it to do."""
        side = self._side_of(participant)
        side.gone = True
        answered = self._phase is Phase.ANSWERING and side.answers is not None
        if not answered and self._phase not in (Phase.SAVING, Phase.OVER):
            self._end(error)

    # -- what is sent --------------------------------------------------------------------------

    def _take(self, side: _Side, message: ClientMessage | Malformed) -> Error | None:
        """Do what a message asks for, or return what is wrong with it."""
        match message:
            case Malformed():
                return messages.BAD_REQUEST
            case Confirm():
                if message.match_id != self.match_id:
                    return messages.BAD_REQUEST
                self._confirm(side)
            case Answers() if self._phase is Phase.ANSWERING:
                if message.match_id != self.match_id or not side.has_answered(message.answers):
                    return messages.BAD_REQUEST
                self._answer(side, message.answers)
            case _:
                return messages.NOT_ALLOWED
        return None

    def _confirm(self, side: _Side) -> None:
        side.confirmed = True
        if self._phase is Phase.CONFIRMING and side.other.confirmed:
            self._start()

    def _answer(self, side: _Side, answers: tuple[Answer, ...]) -> None:
        side.answers = answers
        if side.other.answers is not None:
            self._enter(Phase.SAVING)
            self._ended = self._clock.seconds()
            self._outcome = ANSWERED
            saved = self._save(self._record())
            saved.addCallbacks(self._saved, self._answers_not_saved).addErrback(self._failed)

    # -- phases --------------------------------------------------------------------------------

    def _start(self) -> None:
        self._enter(Phase.TALKING)
        self._timer = self._start_timer(self._timeouts.talk, self._stop)
        self._started = self._clock.seconds()
        self._save_progress()
        self._tell(lambda side: ChatStart())

    def _confirm_time_over(self) -> None:
        self._end(messages.CONFIRM_TIMEOUT)

    def _stop(self) -> None:
        self._enter(Phase.ANSWERING)
        self._timer = self._start_timer(self._timeouts.answer, self._answer_time_over)
        self._stopped = self._clock.seconds()
        self._save_progress()
        self._tell(lambda side: ChatStop(side.other.seeker.questions))

    def _answer_time_over(self) -> None:
        self._end(messages.ANSWER_TIMEOUT)

    def _saved(self, _: None) -> None:
        self._enter(Phase.OVER)
        for side in self._sides:
            if not side.gone:
                side.participant.tell(Answers(self.match_id, side.other.answers or ()))
                side.participant.finish(None)

    def _answers_not_saved(self, failure: Failure) -> None:
        self._not_saved(failure)
        self._end(messages.UNAVAILABLE)

    def _end(self, error: Error) -> None:
        """It comes to nothing: whoever is still there is told why."""
        self._enter(Phase.OVER)
        self._ended = self._clock.seconds()
        self._outcome = error.code
        self._save_progress()
        for side in self._sides:
            if not side.gone:
                side.participant.finish(error)

    def _enter(self, phase: Phase) -> None:
        if phase not in _NEXT[self._phase]:
            raise RuntimeError(f"from {self._phase} to {phase}")
        self._phase = phase
        self._timer.cancel()
        if phase is Phase.OVER:
            self._over(self)

    # -- means ---------------------------------------------------------------------------------

    def _tell(self, message: Callable[[_Side], ServerMessage]) -> None:
        """Tell both what the phase begins with; telling one may end it for the other."""
        phase = self._phase
        for side in self._sides:
            if self._phase is phase:
                side.participant.tell(message(side))

    def _start_timer(self, seconds: float, expire: Callable[[], None]) -> Deferred[None]:
        return deferLater(self._clock, seconds, expire).addErrback(self._timer_ended)

    def _timer_ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._failed(failure)

    def _save_progress(self) -> None:
        self._save(self._record()).addErrback(self._not_saved)

    def _not_saved(self, failure: Failure) -> None:
        if self._save_has_failed:
            return  # one line for each talk: while the database is away there are many
        self._save_has_failed = True
        if failure.check(StorageError):
            self._log.warn("talk: a talk could not be saved: {kind}", kind=type(failure.value).__name__)
        else:
            self._failed(failure)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("talk: a talk failed", failure)

    def _record(self) -> Talk:
        return Talk(
            match_id=self.match_id,
            seats=(_seat(self._sides[0]), _seat(self._sides[1])),
            matched=self._matched,
            started=self._started,
            stopped=self._stopped,
            ended=self._ended,
            outcome=self._outcome,
        )

    def _side_of(self, participant: Participant) -> _Side:
        return self._sides[participant is self._sides[1].participant]


def _seat(side: _Side) -> Seat:
    seeker = side.seeker
    return Seat(seeker.user_id, seeker.user_name, seeker.score, seeker.questions, side.answers)
