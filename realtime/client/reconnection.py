"""When a client connects again, and after how long. Pure.

Delays grow twofold and are drawn from all of their range ("full jitter"): a thousand clients that lost their
server at one moment come back evenly spread, not in waves. A connection that the server ends as soon as it is
made counts as a failed attempt; only one that has begun to serve resets the count.
"""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec import Struct

from realtime.closing import CloseCode

_OURS: Final = {int(code): code.retry for code in CloseCode}

_OTHERS: Final = {1005, 1006, 1011, 1012, 1014, 1015}
"""Codes that this server does not send, but others do, proxies among them: no code, no close frame, an error,
a restart, a bad gateway, a broken TLS handshake."""

_HTTP_OF_THE_MOMENT: Final = {408, 425, 429}
"""What else than a server's own fault may be gone at the next attempt: a timeout, too early, too many."""


class Reconnection(Struct, frozen=True):
    """How to connect again.

    Seconds of the first and of the longest delay, and how many attempts in a row may fail before the client
    gives up; ``None``: it never does.
    """

    first: float = 0.5
    longest: float = 30.0
    attempts: int | None = None

    def delay(self, failures: int, random: Random) -> float | None:
        """Return the seconds to wait after so many failed attempts in a row; ``None``: give up."""
        if self.attempts is not None and failures >= self.attempts:
            return None
        # Beyond 2**64 the doubling would only make a number too large to be a float.
        return random.uniform(0.0, min(self.longest, self.first * 2.0 ** min(failures - 1, 64)))


def is_worth_retrying(code: int) -> bool:
    """Whether a connection that ended with a close code should be made again as it was.

    What the server closes for a fault of the client's, or because it has connected elsewhere, is not: another
    attempt would only repeat it. Nor is what it calls done.
    """
    return _OURS.get(code, code in _OTHERS)


def is_status_worth_retrying(status: int) -> bool:
    """Whether a handshake that was refused with an HTTP status should be tried again as it was."""
    return status >= 500 or status in _HTTP_OF_THE_MOMENT
