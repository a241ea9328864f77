"""``GET /avatars/<hash>``: the pictures of users, for whoever has their address.

An address never shows another picture, so it may be kept for a year. The type is that of the bytes, no browser
may guess another, and nothing in a picture is ever run: it came from a user.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from realtime.messenger.avatars import AvatarStore, StoredPicture
from realtime.web.site import NotFound

_PIECE: Final = 65_536
"""Bytes read at once, by the reactor: tens of microseconds, and all that a slow reader takes of our memory."""


class AvatarResource(Resource):
    """Answers for the pictures of a store; a client that takes nothing for ``patience`` seconds is cut."""

    isLeaf = True

    def __init__(self, store: AvatarStore, clock: IReactorTime, patience: float = 60.0) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._patience = patience

    def render(self, request: Any) -> bytes | int:
        """Answer any method."""
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader("allow", "GET, HEAD")
            return b""
        # Exactly one step below our own path: what is no name is not looked for (`AvatarStore.open`).
        steps: list[bytes] = request.postpath
        picture = self._store.open(steps[0].decode("latin-1")) if len(steps) == 1 else None
        if picture is None:
            return NotFound().render(request)
        return self._show(request, steps[0].decode("ascii"), picture)

    def _show(self, request: Any, name: str, picture: StoredPicture) -> bytes | int:
        tag = f'"{name}"'
        request.setHeader("etag", tag)
        request.setHeader("cache-control", "public, max-age=31536000, immutable")
        request.setHeader("content-security-policy", "default-src 'none'; sandbox")
        request.setHeader("cross-origin-resource-policy", "cross-origin")
        request.setHeader("x-content-type-options", "nosniff")
        if _has(request.getHeader("if-none-match") or "", tag):
            picture.file.close()
            request.setResponseCode(304)
            request.write(b"")  # not by returning it: twisted.web would say that the picture has no bytes
            request.finish()
            return NOT_DONE_YET
        request.setHeader("content-type", picture.media_type)
        request.setHeader("content-length", str(picture.size))
        if request.method == b"HEAD":
            picture.file.close()
            return b""
        _Sending(request, picture, self._clock, self._patience).start()
        return NOT_DONE_YET


def _has(known: str, tag: str) -> bool:
    """Whether a client that knows these tags has the picture (RFC 9110, section 13.1.2: weak ones will do)."""
    return any(each.strip().removeprefix("W/") in (tag, "*") for each in known.split(","))


@implementer(IPushProducer)
class _Sending:
    """Sends a file piece by piece, as long as the connection takes them."""

    def __init__(self, request: Any, picture: StoredPicture, clock: IReactorTime, patience: float) -> None:
        self._request = request
        self._file = picture.file
        self._left = picture.size
        self._clock = clock
        self._patience = patience
        self._paused = False
        self._cutting: IDelayedCall | None = None

    def start(self) -> None:
        """Send the first piece, and what follows in its turn."""
        self._request.notifyFinish().addBoth(lambda _: self.stopProducing())
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """Wait, though not for ever."""
        self._paused = True
        if self._cutting is None and not self._file.closed:
            self._cutting = self._clock.callLater(self._patience, self._cut)

    def resumeProducing(self) -> None:
        """Send until the connection has enough, or everything is sent."""
        self._paused = False
        self._be_patient()
        while not (self._paused or self._file.closed):
            piece = self._read()
            if not piece:  # the disk failed, and the client was promised more
                self._cut()
                return
            self._left -= len(piece)
            self._request.write(piece)
            if not self._left and not self._file.closed:
                self._request.unregisterProducer()
                self._request.finish()

    def stopProducing(self) -> None:
        """Let go of everything: all is sent, or the client is gone."""
        self._be_patient()
        self._file.close()

    def _read(self) -> bytes:
        try:
            return self._file.read(min(_PIECE, self._left))
        except OSError:
            return b""

    def _be_patient(self) -> None:
        cutting, self._cutting = self._cutting, None
        if cutting is not None and cutting.active():
            cutting.cancel()

    def _cut(self) -> None:
        self.stopProducing()
        self._request.channel.forceAbortClient()
