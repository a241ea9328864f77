"""What stands in for accounts where a test is about something else."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed

from realtime.accounts.authentication import Identity
from realtime.accounts.check_token import OutsideProfile
from realtime.accounts.errors import TokenInvalid
from realtime.accounts.store import User


class FakeAuthenticator:
    """Takes a name for a token; while it is ``held``, when the test says so."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.away: Exception | None = None
        self.held: list[Deferred[Identity]] | None = None
        self.cancelled = 0
        self.profile: OutsideProfile | None = None

    def authenticate(self, token: str | None) -> Deferred[Identity]:
        """Stand in for the real one."""
        if self.held is not None:
            waiting: Deferred[Identity] = Deferred(self._cancelled)
            self.held.append(waiting)
            return waiting
        if self.away is not None:
            return fail(self.away)
        user = self.users.get(token or "")
        return succeed(Identity(user, None, self.profile)) if user else fail(TokenInvalid("wrong"))

    def _cancelled(self, waiting: Deferred[Identity]) -> None:
        self.cancelled += 1
