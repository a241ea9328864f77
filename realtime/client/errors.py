"""What can go wrong for a client, as exceptions. Texts quote neither tokens nor messages."""

from __future__ import annotations


class ClientError(Exception):
    """Any of those below."""


class RequestFailed(ClientError):
    """The server has answered with an error of its protocol: its ``code``, and its ``message`` for people.

    support's and messenger's codes are numbers (messenger's in a text), talk's and market's are words.
    workspace has none: there it is the name of the event that failed.
    """

    def __init__(self, code: int | str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class ConnectionLost(ClientError):
    """The connection was lost before the answer came: whether the request was obeyed is not known.

    The client connects again by itself.
    """


class ConnectionEnded(ClientError):
    """There is no connection, and the client will make none any more.

    ``code`` is the WebSocket close code behind it (`realtime.closing`). A refused handshake has the code that
    resembles its HTTP status, 4000 more than it: 4401 for a 401. 1000 after the client's own ``close``.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class NotConnected(ClientError):
    """There is no connection at the moment, and what was to be sent is of no use later."""


class TooManyPending(ClientError):
    """So many requests are not answered yet that no more are taken. See `Options.most_pending`."""


class SignInRefused(ClientError):
    """The name or the password is wrong, or there were too many attempts.

    ``retry_after`` is in seconds, if the server named it: then it is too many.
    """

    def __init__(self, retry_after: int | None = None) -> None:
        super().__init__("too many attempts" if retry_after else "wrong name or password")
        self.retry_after = retry_after
