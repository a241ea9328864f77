"""Fetching a small document over HTTP from a server that is not trusted to behave.

The agent is used as it is, without a client library around it: a redirect is not followed and a
compressed answer is not unpacked, so that what is read comes from the address in the settings and
is no larger than what was received.
"""

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import OK, PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent


def fetch(agent: IAgent, url: bytes, *, accept: bytes, limit: int) -> Deferred[bytes]:
    """The body that `url` answers with, at most `limit` bytes.

    Fails with `ValueError` for a longer body and for any status but 200, and with Twisted's own
    exceptions if there is no whole answer. It sets no time limit; cancelling it ends the
    connection.
    """
    return Deferred.fromCoroutine(_fetch(agent, url, accept, limit))


async def _fetch(agent: IAgent, url: bytes, accept: bytes, limit: int) -> bytes:
    response = await agent.request(b"GET", url, Headers({b"accept": [accept]}))
    body = _Body(limit)
    response.deliverBody(body)
    content = await body.finished
    if response.code != OK:
        raise ValueError(f"HTTP status {response.code}")
    return content


class _Body(Protocol):
    """Collects a body, and hangs up if it grows too long or nobody waits for it."""

    def __init__(self, limit: int) -> None:
        self.finished: Deferred[bytes] = Deferred(self._hang_up)
        self._limit = limit
        self._content = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self.finished.called:
            return
        self._content += data
        if len(self._content) > self._limit:
            self._hang_up(self.finished)
            self.finished.errback(ValueError(f"an answer of more than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.finished.called:
            return
        # Without a Content-Length the end of the connection is the end of the body.
        if isinstance(reason.value, ResponseDone | PotentialDataLoss):
            self.finished.callback(bytes(self._content))
        else:
            self.finished.errback(reason)

    def _hang_up(self, finished: Deferred[bytes]) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
