"""Every WebSocket close code the daemon sends, in one table, with who may come back.

The codes below 4000 mean what RFC 6455, section 7.4.1, says; those from 4400 follow the HTTP status
they resemble. The contract (common.md, "Closing") says when each is used.
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """A close code, its reason text, and whether the same client may try again at once.

    ``retry`` is for clients and documents: a code with ``retry`` false needs a change first
    (another token, fewer requests, a correct frame): an automatic reconnect would only repeat the
    fault.
    """

    reason: str
    retry: bool

    def __new__(  # noqa: D102
        cls, code: int, reason: str, retry: bool
    ) -> CloseCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.reason = reason
        member.retry = retry
        return member

    DONE = 1000, "done", False
    GOING_AWAY = 1001, "server stopping", True
    PROTOCOL_ERROR = 1002, "protocol error", False
    UNSUPPORTED_FRAME = 1003, "unsupported frame kind", False
    INVALID_PAYLOAD = 1007, "invalid payload", False
    POLICY_VIOLATION = 1008, "policy violation", False
    MESSAGE_TOO_BIG = 1009, "message too big", False
    TRY_AGAIN_LATER = 1013, "try again later", True
    NOT_AUTHENTICATED = 4401, "not authenticated", False
    FORBIDDEN = 4403, "forbidden", False
    NO_PONG = 4408, "no pong", True
    REPLACED = 4409, "already connected or replaced", False
    TOO_MANY_REQUESTS = 4429, "too many requests", False
    SLOW_READER = 4430, "too slow a reader", True
