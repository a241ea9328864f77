"""Tokens of this server's own: what is signed, what is accepted, and above all what is not."""

import hashlib
import hmac
import json
from typing import Any

import jwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.errors import TokenExpired, TokenInvalid
from realtime.accounts.tokens import Claims, TokenSigner
from tests.accounts.jose import NOW, edwards_key, forged, pem, rsa_key

SECRET = b"s" * 64
GOOD: dict[str, Any] = {
    "sub": "17",
    "username": "alice",
    "jti": "id-1",
    "iat": int(NOW),
    "exp": int(NOW) + 600,
}
# However busy the machine is: the time that an example takes is not what is tested.
FUZZED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


class TokensTestCase(SynchronousTestCase):
    """Has a signer whose clock stands still until it is set."""

    def setUp(self) -> None:
        """Make a signer of one algorithm with a leeway of 30 seconds."""
        self.time = NOW
        self.signer = self.make()

    def make(self, **changes: Any) -> TokenSigner:
        """A signer with other settings."""
        settings: dict[str, Any] = {"algorithms": ["HS256"], "ttl": 600, "leeway": 30}
        secret = changes.pop("secret", SECRET)
        return TokenSigner(secret, **(settings | changes), now=lambda: self.time)

    def signed(self, header: dict[str, Any] | None = None, /, **changes: Any) -> str:
        """A token signed with the right secret; a claim that is changed to None is left out."""
        claims = {name: value for name, value in (GOOD | changes).items() if value is not None}
        return self.of(json.dumps(claims).encode(), header)

    def of(self, payload: bytes, header: dict[str, Any] | None = None) -> str:
        """A token of any payload, signed with the right secret."""
        return jwt.PyJWS().encode(payload, SECRET, "HS256", headers=header)

    def assert_invalid(self, token: str, reason: str = "") -> None:
        """It is refused for this reason, and not for its time."""
        with self.assertRaisesRegex(TokenInvalid, reason) as raised:
            self.signer.verify(token)
        self.assertNotIsInstance(raised.exception, TokenExpired)


class SigningTests(TokensTestCase):
    """What is in a token."""

    def test_round_trip(self) -> None:
        """A signed token is accepted and says whose it is."""
        token = self.signer.sign(17, "алиса", "id-1")
        self.assertEqual(self.signer.verify(token), Claims(17, "id-1", int(NOW) + 600))

    def test_content(self) -> None:
        """A token holds what the module says and no more."""
        token = self.signer.sign(17, "alice", "id-1")
        content = jwt.decode_complete(token, options={"verify_signature": False})
        self.assertEqual(content["header"], {"alg": "HS256", "typ": "JWT"})
        self.assertEqual(content["payload"], GOOD)

    def test_first_algorithm_signs(self) -> None:
        """The first HMAC algorithm of the settings signs; the others are accepted."""
        both = self.make(algorithms=["RS256", "HS512", "HS256"])
        token = both.sign(17, "alice", "id-1")
        self.assertEqual(jwt.get_unverified_header(token)["alg"], "HS512")
        both.verify(token)
        both.verify(self.signed())
        self.assert_invalid(token)

    def test_construction_refused(self) -> None:
        """Settings with which tokens would not be safe are refused, and no secret is shown."""
        cases: list[dict[str, Any]] = [
            {"algorithms": ["none"]},
            {"algorithms": ["HS256", "none"]},
            {"algorithms": ["RS256"]},
            {"algorithms": []},
            {"secret": b"s" * 31},
            {"secret": b"s" * 63, "algorithms": ["HS256", "HS512"]},
            {"secret": pem(rsa_key())},
            {"secret": b'{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}'},
        ]
        for changes in cases:
            with self.assertRaisesRegex(ValueError, r"^auth\.") as raised:
                self.make(**changes)
            self.assertNotIn("\n", str(raised.exception))
            self.assertNotIn("sss", str(raised.exception))


class ClaimsTests(TokensTestCase):
    """What a genuine token has to say."""

    def test_times(self) -> None:
        """A token ends when its time and the leeway are over, not a moment earlier or later."""
        token = self.signed()
        for time in (NOW - 1000, NOW, NOW + 629.9):
            self.time = time
            self.signer.verify(token)
        for time in (NOW + 630, NOW + 10_000):
            self.time = time
            with self.assertRaises(TokenExpired):
                self.signer.verify(token)

    def test_expired_only_if_genuine(self) -> None:
        """Of a token that isn't genuine it isn't told whether its time is over."""
        self.time = NOW + 10_000
        self.assert_invalid(self.signed()[:-4] + "AAAA")

    def test_not_yet_valid(self) -> None:
        """A token is not accepted before its time, give or take the leeway."""
        self.signer.verify(self.signed(nbf=int(NOW) + 30))
        self.assert_invalid(self.signed(nbf=int(NOW) + 31), "not valid yet")

    def test_fractions(self) -> None:
        """A time may have a fraction (RFC 7519, section 2)."""
        self.assertEqual(self.signer.verify(self.signed(exp=NOW + 0.5)).expires, int(NOW))

    def test_required(self) -> None:
        """Without a user, an id or an end a token is nothing."""
        for claim in ("sub", "jti", "exp"):
            self.assert_invalid(self.signed(**{claim: None}), "claims")

    def test_wrong_types(self) -> None:
        """Types are not converted, and no number is too large to be compared."""
        cases: dict[str, list[Any]] = {
            "sub": [17, 17.0, True, ["17"], {}, "", "0", "017", "-1", "+1", " 1", "1.0", "x"],
            "jti": [1, True, [], {}, "", "x" * 252],
            "exp": ["1800000000", True, [], {}, -1, 10**400, 1e300, float("nan")],
            "nbf": ["0", True, [], -1, 10**400],
            "aud": [1, True, {}, ["a", 1]],
        }
        cases["sub"] += ["1\n", "١٧", "1" * 19, "1_7"]
        cases["exp"] += [2**53 + 1, float("inf")]
        for claim, values in cases.items():
            for value in values:
                self.assert_invalid(self.signed(**{claim: value}), "claims|malformed")

    def test_no_object(self) -> None:
        """A payload that is no JSON object is refused, however deep it is."""
        for payload in (b"", b"[]", b"17", b"null", b"\xff", b"{", b"[" * 5000, b'{"a":' * 1000):
            self.assert_invalid(self.of(payload), "claims")

    def test_audience(self) -> None:
        """Only a server that has a name accepts tokens that name an audience, and only its own."""
        self.assert_invalid(self.signed(aud="chat"), "audience")
        self.signer = self.make(audience="chat")
        self.signer.verify(self.signer.sign(17, "alice", "id-1"))
        self.signer.verify(self.signed(aud=["mail", "chat"]))
        for audience in (None, "mail", "cha", ["mail"], [], "", ["chat "]):
            self.assert_invalid(self.signed(aud=audience), "audience")


class ForgeryTests(TokensTestCase):
    """What only looks like a token."""

    def test_changed(self) -> None:
        """A token is refused with any one of its characters changed."""
        token = self.signed()
        for position, character in enumerate(token):
            other = "A" if character != "A" else "B"
            self.assert_invalid(token[:position] + other + token[position + 1 :], "")

    def test_other_secret(self) -> None:
        """Another server's token is refused."""
        self.assert_invalid(self.make(secret=b"t" * 64).sign(17, "alice", "id-1"), "not signed")

    def test_none(self) -> None:
        """An unsigned token is refused in every spelling of `none`."""
        for algorithm in ("none", "None", "NONE", "nOnE", ""):
            for signature in (b"", b"x", b"\0" * 32):
                token = forged({"typ": "JWT", "alg": algorithm}, GOOD, signature)
                self.assert_invalid(token, "malformed")

    def test_algorithm_of_any_type(self) -> None:
        """An `alg` that is missing or no text is refused like a wrong one."""
        for algorithm in (None, 1, True, [], ["HS256"], {"HS256": 1}, "hs256", "HS256 "):
            self.assert_invalid(forged({"alg": algorithm}, GOOD, b"x" * 32), "malformed")
        self.assert_invalid(forged({}, GOOD, b"x" * 32), "malformed")

    def test_algorithm_not_in_the_settings(self) -> None:
        """A right signature by an algorithm that isn't in the settings is refused."""
        for algorithm in ("HS384", "HS512"):
            token = jwt.encode(GOOD, SECRET, algorithm)
            self.assert_invalid(token, "not signed")

    def test_asymmetric(self) -> None:
        """A token signed with a private key is none of ours, whatever its key."""
        for key, algorithm in ((rsa_key(), "RS256"), (edwards_key(), "EdDSA")):
            self.assert_invalid(jwt.encode(GOOD, key, algorithm))

    def test_signature_of_another_hash(self) -> None:
        """The algorithm in the header decides the hash, not the signature's length."""
        signing_input = forged({"alg": "HS256", "typ": "JWT"}, GOOD).rpartition(".")[0]
        for name in ("sha512", "sha384"):
            signature = hmac.digest(SECRET, signing_input.encode(), name)[:32]
            token = forged({"alg": "HS256", "typ": "JWT"}, GOOD, signature)
            self.assert_invalid(token, "not signed")
        right = hmac.new(SECRET, signing_input.encode(), hashlib.sha256).digest()
        self.signer.verify(forged({"alg": "HS256", "typ": "JWT"}, GOOD, right))

    def test_critical_extension(self) -> None:
        """A token that asks for an extension which is not understood is refused."""
        headers: list[dict[str, Any]] = [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": "b64"}]
        for header in headers:
            self.assert_invalid(self.signed(header), "malformed")

    def test_shape(self) -> None:
        """What has not three parts of base64url is refused."""
        token = self.signed()
        header, payload, signature = token.split(".")
        for broken in (
            *("", ".", "..", "...", header, f"{header}.{payload}", f"{header}.{payload}."),
            *(f"{token}.", f".{token}", f"{token}.x", f"{header}..{signature}"),
            *(f" {token}", f"{token} ", f"{token}\n", f"{header}.{payload}.!{signature}"),
            *(f"Bearer {token}", token.replace(".", "\N{FULLWIDTH FULL STOP}")),
            *("\ud800", f"{token}\ud800", f"{token}é", "\0"),
        ):
            self.assert_invalid(broken)

    def test_size(self) -> None:
        """A token over 8 KiB is refused, even a genuine one; one below is not too long."""
        self.signer.verify(self.signed(padding="x" * 5000))
        self.assert_invalid(self.signed(padding="x" * 8192), "too long")

    @FUZZED
    @given(st.text() | st.from_regex(r"\A[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\Z"))
    def test_anything(self, text: str) -> None:
        """Whatever is presented, the answer is `TokenInvalid`."""
        self.assert_invalid(text)

    @FUZZED
    @given(st.dictionaries(st.sampled_from(["alg", "crit", "b64", "kid", "zip"]), JSON_VALUES))
    def test_any_header(self, header: dict[str, Any]) -> None:
        """Whatever a header says, a wrong signature stays wrong."""
        self.assert_invalid(forged(header, GOOD, b"x" * 32))

    @FUZZED
    @given(st.dictionaries(st.sampled_from([*GOOD, "nbf", "aud"]), JSON_VALUES))
    def test_any_claims(self, claims: dict[str, Any]) -> None:
        """Whatever a genuine token claims, the answer is a `Claims` or `TokenInvalid`."""
        try:
            verified = self.signer.verify(self.of(json.dumps(claims).encode()))
        except TokenInvalid:
            return
        self.assertEqual(claims["sub"], str(verified.user_id))
        self.assertEqual(claims["jti"], verified.token_id)
