"""Units of work that wait for a database thread, and how they are answered together."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.storage.errors import StorageError


class Request:
    """A work that waits, whom to answer, and when it arrived, in the reactor's seconds."""

    __slots__ = ("answer", "args", "arrived", "kwargs", "work")

    def __init__(self, work: Callable[..., Any], args: Any, kwargs: dict[str, Any], arrived: float) -> None:
        self.answer: Deferred[Any] = Deferred()
        self.work = work
        self.args = args
        self.kwargs = kwargs
        self.arrived = arrived


class Failed:
    """Stands among the answers for a work that raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def answer(requests: Sequence[Request], answers: Sequence[Any], result: object) -> None:
    """Answers requests that went to a thread together, in order.

    Arguments:
        requests: all of them.
        answers: for as many of the first as are settled, what they returned or a `Failed`.
        result: if it is a Failure, the answer of all others.
    """
    missing = Failed((result.value if isinstance(result, Failure) else None) or StorageError())
    answers = [*answers, *[missing] * (len(requests) - len(answers))]
    for request, each in zip(requests, answers, strict=True):
        if type(each) is Failed:
            request.answer.errback(each.error)
        else:
            request.answer.callback(each)
