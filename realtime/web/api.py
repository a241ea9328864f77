"""What the HTTP APIs of the protocols have in common: JSON for whoever holds a token.

The token stands in ``Authorization: Bearer …`` and nowhere else: a request that a browser makes by itself,
with a cookie, is nobody's. A fault of the caller's is a JSON body ``{"error": {"code": slug, "message":
text}}`` with its status; so is the database's absence (503), and a fault of ours (500), which says no more.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from realtime.accounts.authentication import Authenticator
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from realtime.accounts.store import User
from realtime.http.credentials import TokenPlaces
from realtime.storage.errors import StorageUnavailable
from realtime.web.sharing import Sharing

Shape = TypeVar("Shape")


class Refused(Exception):
    """A request is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> Refused:
    """Return the answer to whoever asks in a way that can't be understood."""
    return Refused(400, "bad-request", message)


def forbidden(message: str) -> Refused:
    """Return the answer to whoever may not do what is asked for."""
    return Refused(403, "forbidden", message)


def not_found() -> Refused:
    """Return the answer to whoever asks for what is not there, or not for him."""
    return Refused(404, "not-found", "There is no such thing.")


class Answered(Struct, frozen=True):
    """What is answered with another status than 200; ``body`` is JSON, and none with 204."""

    status: int
    body: object = None


class Call:
    """A request by a user. ``path`` is what stands behind the resource's own."""

    def __init__(self, request: Any, user: User) -> None:
        self._request = request
        self.user = user
        self.path = tuple(part.decode("utf-8", "replace") for part in request.postpath if part)

    def body(self, shape: type[Shape]) -> Shape:
        """Return the body, JSON of a shape."""
        body = self._request.body()
        try:
            return msgspec.json.decode(b"" if body is None else body, type=shape)
        except (msgspec.DecodeError, RecursionError):
            raise bad_request("The body is not the JSON that is expected here.") from None

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a parameter of the query that is a number; what is more than ``most`` counts as that."""
        values = self._request.args.get(name.encode("ascii"))
        if not values:
            return default
        text: bytes = values[0]
        number = int(text) if text.isdigit() and len(text) < 20 else least - 1
        if number < least:
            raise bad_request(f"{name} is not a number from {least} on.")
        return min(number, most)


Handler = Callable[[Any, Call], Coroutine[Any, Any, object]]
"""Takes the resource and the call; returns what is answered, as JSON, or raises `Refused`."""


class ApiResource(Resource):
    """A resource whose ``handlers`` answer, by method. Where there is GET, there is HEAD."""

    isLeaf = True
    handlers: ClassVar[Mapping[str, Handler]]
    _log = Logger()

    def __init__(self, authenticator: Authenticator, sharing: Sharing) -> None:
        super().__init__()
        self._authenticator = authenticator
        self._sharing = sharing
        self._tokens = TokenPlaces(query_tokens=False, origins=sharing.origins)

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        if request.method == b"OPTIONS":
            return self._sharing.preflight(request, ", ".join(self.handlers))
        self._sharing.share(request)
        method = "GET" if request.method == b"HEAD" else request.method.decode("latin-1")
        answering = Deferred.fromCoroutine(self._answer(request, method))
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(self._failed, request)
        return NOT_DONE_YET

    async def _answer(self, request: Any, method: str) -> None:
        handler = self.handlers.get(method)
        if handler is None:
            allowed = [*self.handlers, *(["HEAD"] if "GET" in self.handlers else [])]
            request.setHeader("allow", ", ".join(allowed))
            raise Refused(405, "method-not-allowed", "This can't be done here.")
        authorization = request.getHeader("authorization") or ""
        token = self._tokens.find({"authorization": authorization}, {})
        identity = await self._authenticator.authenticate(token)
        answer = await handler(self, Call(request, identity.user))
        if isinstance(answer, Answered):
            _send(request, answer.status, answer.body)
        else:
            _send(request, 200, answer)

    def _failed(self, failure: Failure, request: Any) -> None:
        reason: Any = failure.value
        if failure.check(CancelledError):
            return  # nobody waits for the answer any more
        if failure.check(TokenInvalid):
            request.setHeader("www-authenticate", "Bearer")
            reason = Refused(401, "unauthorized", "No valid token.")
        elif failure.check(StorageUnavailable, IssuerUnavailable):
            request.setHeader("retry-after", "1")
            reason = Refused(503, "unavailable", "Temporarily unavailable.")
        elif not failure.check(Refused):
            self._log.failure("web: {path} failed", failure, path=request.path.decode("latin-1"))
            reason = Refused(500, "internal", "Something went wrong here.")
        _send(request, reason.status, {"error": {"code": reason.code, "message": reason.message}})


def _send(request: Any, status: int, answer: object) -> None:
    request.setResponseCode(status)
    request.setHeader("cache-control", "no-store")
    if status != 204:
        body = msgspec.json.encode(answer)
        request.setHeader("content-type", "application/json")
        request.setHeader("content-length", str(len(body)))
        request.write(body)
    request.finish()
