"""``POST /v1/auth/``: a name and a password for a token (document 004, 5; support.md)."""

from __future__ import annotations

from math import ceil
from typing import Any

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from realtime.accounts.authentication import SignedIn, SignIn, SignInRefused, SignInThrottled
from realtime.accounts.errors import PasswordsBusy
from realtime.http.address import TrustedProxies
from realtime.operations.metrics import Metrics
from realtime.storage.errors import StorageUnavailable
from realtime.web.sharing import Sharing


class _Body(Struct):
    user_name: str
    password: str
    id: Raw = Raw()


class _Token(Struct):
    token: str


class _Answer(Struct):
    error: None
    result: _Token
    id: Raw | int


_body = msgspec.json.Decoder(_Body)


class SignInResource(Resource):
    """Answers in the document's three ways.

    200 and a token; 403 and nothing for a wrong name or password (with ``Retry-After`` if there were
    too many failures); 404 and nothing for everything else. Beside them, where the document is silent:
    503 and nothing while the database is away or too many passwords wait to be checked.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, sign_in: SignIn, proxies: TrustedProxies, sharing: Sharing, metrics: Metrics) -> None:
        super().__init__()
        self._sign_in = sign_in
        self._proxies = proxies
        self._sharing = sharing
        self._metrics = metrics

    def render(self, request: Request) -> bytes | int:
        """Answer any method."""
        at_home = request.postpath in ([], [b""])
        if request.method == b"OPTIONS" and at_home:
            return self._sharing.preflight(request, "POST")
        self._sharing.share(request)
        body = _read(request) if request.method == b"POST" and at_home else None
        if body is None:
            return _empty(request, 404)
        peer = request.getClientAddress()
        forwarded = request.requestHeaders.getRawHeaders("x-forwarded-for", [])
        address = self._proxies.client(getattr(peer, "host", "127.0.0.1"), ",".join(forwarded))
        signing_in = self._sign_in.sign_in(body.user_name, body.password, address)
        request.notifyFinish().addErrback(lambda _: signing_in.cancel())
        signing_in.addCallback(self._accepted, request, body.id)
        signing_in.addErrback(self._not_accepted, request)
        return NOT_DONE_YET

    def _accepted(self, signed_in: SignedIn, request: Request, body_id: Raw) -> None:
        self._metrics.sign_ins_total.labels(outcome="accepted").inc()
        answer_id = body_id if bytes(body_id) else signed_in.user.id
        request.setHeader("content-type", "application/json")
        request.setHeader("cache-control", "no-store")
        answer = msgspec.json.encode(_Answer(None, _Token(signed_in.token), answer_id))
        request.setHeader("content-length", str(len(answer)))
        request.write(answer)
        request.finish()

    def _not_accepted(self, failure: Failure, request: Request) -> None:
        reason: Any = failure.value
        if failure.check(CancelledError):
            return  # nobody waits for the answer any more
        if failure.check(SignInRefused):
            outcome, status = "refused", 403
        elif failure.check(SignInThrottled):
            outcome, status = "throttled", 403
            request.setHeader("retry-after", str(ceil(reason.retry_after)))
        else:
            outcome, status = "unavailable", 503
            request.setHeader("retry-after", "1")
            if not failure.check(StorageUnavailable, PasswordsBusy):
                self._log.failure("web: sign-in failed", failure)
        self._metrics.sign_ins_total.labels(outcome=outcome).inc()
        _empty(request, status)
        request.finish()


def _read(request: Any) -> _Body | None:
    try:
        # Decoded first, for what is passed over or handed back as it is would not be checked.
        return _body.decode((request.body() or b"").decode("utf-8"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _empty(request: Request, status: int) -> bytes:
    request.setResponseCode(status)
    request.setHeader("content-length", "0")
    return b""
