"""Tokens of this server's own: JWTs signed with its secret.

    {"alg": "HS256", "typ": "JWT"}
    {"sub": "17", "username": "alice", "jti": "3q2-7w", "iat": 1700000000, "exp": 1700086400}

`sub` is the user's id and `jti` what is compared with the database, so that a token can be revoked;
that comparison is not made here. `aud` is there if `[auth] audience` is set.

PyJWT checks the form and the signature. Its check of the claims is not used, for it reads the
machine's clock; the claims are decoded straight into their types instead.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm
from msgspec import Meta

from realtime.accounts.algorithms import symmetric
from realtime.accounts.claims import RegisteredClaims, check_claims, check_size
from realtime.accounts.errors import TokenInvalid


class Claims(msgspec.Struct, frozen=True):
    """What a genuine token says: whose it is, its id, and when it ends (Unix seconds)."""

    user_id: int
    token_id: str
    expires: int


class TokenSigner:
    """Signs and verifies with `secret`, by the HMAC algorithms among `algorithms` and no others.

    The first of them signs. `ttl` and `leeway` are seconds, `now` gives Unix seconds. Raises
    `ValueError`, with one line for the user, if there is no such algorithm, or if the secret is too
    short for one of them or is in truth a public key.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        algorithms: Sequence[str],
        ttl: int,
        leeway: float,
        now: Callable[[], float],
        audience: str = "",
    ) -> None:
        self._algorithms = symmetric(algorithms)
        self._secret = secret
        self._ttl = ttl
        self._leeway = leeway
        self._now = now
        self._audience = audience
        # Built empty and given only what is listed: `none` and public keys do not exist for it.
        self._jws = jwt.PyJWS(algorithms=[])
        for name in self._algorithms:
            self._jws.register_algorithm(name, _CheckedSecretHMAC(name, secret))
        self._payload = msgspec.json.Decoder(_OwnClaims)

    def sign(self, user_id: int, user_name: str, token_id: str) -> str:
        """A new token for this user, valid from now for `ttl` seconds."""
        issued = int(self._now())
        payload = {
            "sub": str(user_id),
            "username": user_name,
            "jti": token_id,
            "iat": issued,
            "exp": issued + self._ttl,
        }
        if self._audience:
            payload["aud"] = self._audience
        return self._jws.encode(msgspec.json.encode(payload), self._secret, self._algorithms[0])

    def verify(self, token: str) -> Claims:
        """What `token` says, if this server signed it and it is valid now.

        Raises `TokenExpired` if only its time is over, else `TokenInvalid`; nothing else, whatever
        `token` is. The claims are not looked at before the signature has been found right.
        """
        check_size(token)
        try:
            verified = self._jws.decode_complete(token, self._secret, self._algorithms)
            claims = self._payload.decode(verified["payload"])
        except jwt.PyJWTError:
            raise TokenInvalid("malformed, or not signed by this server") from None
        except (msgspec.DecodeError, RecursionError):
            raise TokenInvalid("claims missing or of the wrong type") from None
        check_claims(claims, audience=self._audience, leeway=self._leeway, now=self._now())
        return Claims(int(claims.sub), claims.jti, int(claims.exp))


class _OwnClaims(RegisteredClaims, frozen=True, kw_only=True):
    """The claims of `sign`. Another program that shares the secret has to write the same."""

    # One spelling for each id, and none that a database column could not be compared with.
    sub: Annotated[str, Meta(pattern=r"\A[1-9][0-9]{0,17}\Z")]
    # `users.token` holds it behind "jti:" in 255 characters.
    jti: Annotated[str, Meta(min_length=1, max_length=251)]


class _CheckedSecretHMAC(HMACAlgorithm):
    """PyJWT's HMAC, with the secret examined once instead of with every token.

    PyJWT tries to read a secret as a PEM, a DER and a JWK, in case somebody configured a public key
    as one. That is right, but takes about as long as all the rest of a verification.
    """

    def __init__(self, name: str, secret: bytes) -> None:
        super().__init__(_HASHES[name])
        try:
            super().prepare_key(secret)
        except jwt.InvalidKeyError as error:
            raise ValueError(f"auth.jwt_secret: {error}") from None
        if len(secret) < self.hash_alg().digest_size:
            raise ValueError(
                f"auth.jwt_secret: {name} needs at least {self.hash_alg().digest_size} bytes, "
                f"this has {len(secret)}"
            )

    def prepare_key(self, key: Any) -> bytes:
        return bytes(key)

    def check_key_length(self, key: bytes) -> None:
        return None


_HASHES = {
    "HS256": HMACAlgorithm.SHA256,
    "HS384": HMACAlgorithm.SHA384,
    "HS512": HMACAlgorithm.SHA512,
}
