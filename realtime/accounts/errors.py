"""What can go wrong while an account is looked at.

The texts name the rule that was broken. They never hold a token, a password or a claim's value, so
that they may be logged.
"""


class TokenInvalid(Exception):
    """The token is not one that this server accepts."""


class TokenExpired(TokenInvalid):
    """The token is genuine, but its time is over."""


class IssuerUnavailable(Exception):
    """The outside issuer's keys cannot be had at present, so that its token cannot be judged."""


class PasswordsBusy(Exception):
    """Too many passwords are waiting to be hashed or checked, or the server is stopping."""
