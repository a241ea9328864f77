"""Tokens of an outside issuer: JWTs signed with a key of which only the public half is here.

Their signatures are checked with asymmetric algorithms only, and with keys that are found by the
token's `kid` and `alg` but bring their own algorithms with them. That a key is found says that it
suits the `alg`; that the `alg` is in the settings is checked before it is looked for.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import msgspec
from twisted.internet.defer import Deferred

from realtime.accounts.algorithms import asymmetric
from realtime.accounts.claims import (
    MAXIMUM_TOKEN_BYTES,
    RegisteredClaims,
    check_claims,
    check_size,
)
from realtime.accounts.errors import TokenInvalid
from realtime.accounts.keys import VerificationKey
from realtime.accounts.keysets import KeySource

_MAXIMUM_CHARACTERS = 255  # of a subject or a name, as in the users table


class OutsideIdentity(msgspec.Struct, frozen=True):
    """Who a user is to its issuer, and when the token ends (Unix seconds).

    `issuer` and `subject` together are the identity. `name` is for show: it need not be unique, and
    is the subject if the token has none.
    """

    issuer: str
    subject: str
    name: str
    expires: float


class OutsideIssuer:
    """Verifies the tokens of `issuer` with the keys of `keys`.

    `audience` is this server's name with the issuer. If it is empty, a token that is meant for a
    named audience is refused. The user's id and name are in the claims `user_id_claim` and
    `user_name_claim`. `leeway` is in seconds, `now` gives Unix seconds. Raises `ValueError`, with
    one line for the user, if there is no issuer or no algorithm for it.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str],
        user_id_claim: str,
        user_name_claim: str,
        leeway: float,
        keys: KeySource,
        now: Callable[[], float],
    ) -> None:
        if not issuer:
            raise ValueError("auth.issuer: must be set for a public key to be of use")
        self.issuer = issuer
        self._audience = audience
        self._algorithms = asymmetric(algorithms)
        self._user_id_claim = user_id_claim
        self._user_name_claim = user_name_claim
        self._leeway = leeway
        self._keys = keys
        self._now = now
        self._jws = jwt.PyJWS(algorithms=self._algorithms)

    def verify(self, token: str) -> Deferred[OutsideIdentity]:
        """Who `token` is of, if the issuer signed it, for this server, and it is valid now.

        Fails with `TokenExpired` if only its time is over, with `IssuerUnavailable` if its key
        can't be had now, and with `TokenInvalid` for anything else that `token` may be.
        """
        return Deferred.fromCoroutine(self._verify(token))

    async def _verify(self, token: str) -> OutsideIdentity:
        check_size(token)
        try:
            header = self._jws.get_unverified_header(token)
        except jwt.PyJWTError:
            raise TokenInvalid("malformed") from None
        algorithm = header.get("alg")
        if algorithm not in self._algorithms:
            raise TokenInvalid("algorithm not accepted")
        keys = await self._keys.find(header.get("kid"), algorithm)
        return self._identity(self._payload(token, algorithm, keys))

    def _payload(self, token: str, algorithm: str, keys: Sequence[VerificationKey]) -> bytes:
        for key in keys:
            try:
                verified = self._jws.decode_complete(token, key.public, [algorithm])
            except jwt.PyJWTError:
                continue
            payload: bytes = verified["payload"]
            return payload
        raise TokenInvalid("not signed by the issuer")

    def _identity(self, payload: bytes) -> OutsideIdentity:
        try:
            registered = _REGISTERED_CLAIMS.decode(payload)
            claims = _ALL_CLAIMS.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            raise TokenInvalid("claims missing or of the wrong type") from None
        if registered.iss != self.issuer:
            raise TokenInvalid("wrong issuer")
        check_claims(registered, audience=self._audience, leeway=self._leeway, now=self._now())
        subject = _subject(claims.get(self._user_id_claim))
        name = _name(claims.get(self._user_name_claim)) or subject
        return OutsideIdentity(self.issuer, subject, name, float(registered.exp))


class _OutsideClaims(RegisteredClaims, frozen=True, kw_only=True):
    iss: str


class _UnverifiedClaims(msgspec.Struct):
    iss: str | None = None


_REGISTERED_CLAIMS = msgspec.json.Decoder(_OutsideClaims)
_ALL_CLAIMS = msgspec.json.Decoder(dict[str, Any])
_UNVERIFIED_CLAIMS = msgspec.json.Decoder(_UnverifiedClaims)


def issuer_of(token: str) -> str | None:
    """The issuer that `token` names; None if it names none, or is no JWT.

    Nothing is verified: this only tells who is to be asked.
    """
    if len(token) > MAXIMUM_TOKEN_BYTES or token.count(".") != 2:
        return None
    payload = token.split(".")[1]
    try:
        decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return _UNVERIFIED_CLAIMS.decode(decoded).iss
    except (ValueError, RecursionError):
        return None


def _subject(claim: object) -> str:
    """The user's id as text. An issuer with numbers for ids may write them as such."""
    if isinstance(claim, int) and not isinstance(claim, bool) and abs(claim) < 2**63:
        return str(claim)
    if (
        not isinstance(claim, str)
        or not 0 < len(claim) <= _MAXIMUM_CHARACTERS
        or "\0" in claim
        # Some databases take a text for the same with and without spaces after it.
        or claim != claim.strip()
    ):
        raise TokenInvalid("no usable user id")
    return claim


def _name(claim: object) -> str:
    """The user's name, made to fit the users table; empty if there is none."""
    if not isinstance(claim, str):
        return ""
    return claim.replace("\0", "").strip()[:_MAXIMUM_CHARACTERS].rstrip()
