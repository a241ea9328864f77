"""Tokens of an outside issuer: whose they are, and what is refused."""

from collections.abc import Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.algorithms import ASYMMETRIC
from realtime.accounts.errors import IssuerUnavailable, TokenExpired, TokenInvalid
from realtime.accounts.issuers import OutsideIdentity, OutsideIssuer, issuer_of
from realtime.accounts.keys import VerificationKey, parse_key_set, suitable_keys
from realtime.accounts.tokens import TokenSigner
from tests.accounts.jose import (
    AUDIENCE,
    ISSUER,
    NOW,
    claims,
    ec_key,
    edwards_key,
    forged,
    jwk,
    key_set,
    pem,
    rsa_key,
    token,
)
from tests.accounts.test_tokens import FUZZED, JSON_VALUES


class KnownKeys:
    """A key source that knows these keys at once."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self.keys = parse_key_set(key_set(*members))
        self.asked = 0
        self.away = False

    def find(self, key_id: str | None, algorithm: str) -> Deferred[Sequence[VerificationKey]]:
        """Find them, or be away."""
        self.asked += 1
        if self.away:
            return fail(IssuerUnavailable("away"))
        return succeed(suitable_keys(self.keys, key_id, algorithm))


class IssuersTestCase(SynchronousTestCase):
    """Has an issuer with a key of each kind."""

    def setUp(self) -> None:
        """Accept every asymmetric algorithm, at a moment at which good tokens are valid."""
        self.time = NOW
        self.keys = KnownKeys(
            jwk(rsa_key(), kid="rsa"),
            jwk(ec_key(), kid="ec"),
            jwk(ec_key(ec.SECP384R1), kid="ec384"),
            jwk(ec_key(ec.SECP521R1), kid="ec521"),
            jwk(edwards_key(), kid="edwards"),
        )
        self.issuer = self.make()

    def make(self, **changes: Any) -> OutsideIssuer:
        """An issuer with other settings."""
        settings: dict[str, Any] = {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "algorithms": ["HS256", *ASYMMETRIC],
            "user_id_claim": "sub",
            "user_name_claim": "username",
            "leeway": 30,
            "keys": self.keys,
        }
        return OutsideIssuer(**(settings | changes), now=lambda: self.time)

    def verified(self, presented: str) -> OutsideIdentity:
        """Whose the token is."""
        return self.successResultOf(self.issuer.verify(presented))

    def assert_invalid(self, presented: str, reason: str = ".") -> None:
        """It is refused for this reason, and not for its time."""
        failure = self.failureResultOf(self.issuer.verify(presented), TokenInvalid)
        self.assertNotIsInstance(failure.value, TokenExpired)
        self.assertRegex(failure.getErrorMessage(), reason)


class IdentityTests(IssuersTestCase):
    """What a good token says."""

    def test_every_algorithm(self) -> None:
        """Each accepted algorithm works with its kind of key."""
        curves = {"ES256": ec_key(), "ES384": ec_key(ec.SECP384R1), "ES512": ec_key(ec.SECP521R1)}
        for algorithm in ASYMMETRIC:
            key = curves.get(algorithm) or (edwards_key() if algorithm == "EdDSA" else rsa_key())
            self.assertEqual(
                self.verified(token(key, algorithm)),
                OutsideIdentity(ISSUER, "subject-7", "alice", NOW + 600),
            )

    def test_key_id(self) -> None:
        """A token that names a key is checked with that key alone."""
        self.verified(token(ec_key(), "ES256", "ec"))
        self.assert_invalid(token(ec_key(), "ES256", "rsa"), "not signed")
        self.assert_invalid(token(ec_key(), "ES256", "unknown"), "not signed")

    def test_own_claims(self) -> None:
        """The settings say which claims hold the user's id and name."""
        self.issuer = self.make(user_id_claim="uid", user_name_claim="nick")
        presented = token(ec_key(), "ES256", uid="u-1", nick="Алиса")
        self.assertEqual(self.verified(presented), OutsideIdentity(ISSUER, "u-1", "Алиса", NOW + 600))
        self.assert_invalid(token(ec_key(), "ES256"), "user id")

    def test_number_as_id(self) -> None:
        """An issuer whose ids are numbers may write them as numbers."""
        self.assertEqual(self.verified(token(ec_key(), "ES256", sub=42)).subject, "42")

    def test_unusable_ids(self) -> None:
        """What can't be stored, or not be told from another id, is no id."""
        values: list[Any] = ["", "x" * 256, "a\0b", " a", "a ", "\n", True, 1.0, [], ["a"], {}]
        for value in [*values, 2**63, -(2**63), 10**400]:
            self.assert_invalid(token(ec_key(), "ES256", sub=value), "user id")
        self.assertEqual(len(self.verified(token(ec_key(), "ES256", sub="x" * 255)).subject), 255)

    def test_names(self) -> None:
        """A name is made to fit; without one the id stands in for it."""
        cases = [(" bob ", "bob"), ("b\0ob", "bob"), ("x" * 300, "x" * 255), ("", "subject-7")]
        for written, shown in cases:
            presented = token(ec_key(), "ES256", username=written)
            self.assertEqual(self.verified(presented).name, shown)
        for other in (None, 7, ["bob"], " \0 "):
            presented = token(ec_key(), "ES256", username=other)
            self.assertEqual(self.verified(presented).name, "subject-7")

    def test_construction_refused(self) -> None:
        """Settings with which no token could be accepted are refused."""
        for changes in ({"algorithms": ["HS256"]}, {"algorithms": ["RS256", "none"]}):
            with self.assertRaisesRegex(ValueError, r"^auth\.algorithms"):
                self.make(**changes)
        with self.assertRaisesRegex(ValueError, r"^auth\.issuer"):
            self.make(issuer="")


class ClaimsTests(IssuersTestCase):
    """What a genuine token has to say."""

    def test_issuer(self) -> None:
        """Only the issuer of the settings, to the letter, and as one text."""
        for issuer in (None, "", ISSUER[:-1], ISSUER.upper(), "https://other.example/"):
            self.assert_invalid(token(ec_key(), "ES256", iss=issuer), "issuer|claims")
        others: list[Any] = [[ISSUER], 1, True, {}]
        for other in others:
            self.assert_invalid(token(ec_key(), "ES256", iss=other), "claims")

    def test_audience(self) -> None:
        """A token for another audience is refused, and so is one for none."""
        self.verified(token(ec_key(), "ES256", aud=["mail", AUDIENCE]))
        for audience in (None, "", "mail", ["mail"], [], AUDIENCE + "s", "*"):
            self.assert_invalid(token(ec_key(), "ES256", aud=audience), "audience")
        for other in (1, True, {AUDIENCE: 1}, [[AUDIENCE]]):
            self.assert_invalid(token(ec_key(), "ES256", aud=other), "claims")

    def test_no_audience_configured(self) -> None:
        """Without a name of its own the server accepts only tokens that name nobody."""
        self.issuer = self.make(audience="")
        self.verified(token(ec_key(), "ES256", aud=None))
        self.assert_invalid(token(ec_key(), "ES256"), "audience")

    def test_times(self) -> None:
        """A token is valid from `nbf` to `exp`, give or take the leeway."""
        presented = token(ec_key(), "ES256", nbf=int(NOW) + 100)
        for time, valid in ((69.0, False), (70.0, True), (629.9, True)):
            self.time = NOW + time
            if valid:
                self.verified(presented)
            else:
                self.assert_invalid(presented, "not valid yet")
        self.time = NOW + 630
        self.failureResultOf(self.issuer.verify(presented), TokenExpired)

    def test_end_is_required(self) -> None:
        """A token without an end, or with one of another type, is refused."""
        values: list[Any] = [None, "1800000000", True, [], -1, 10**400, float("nan")]
        for value in values:
            self.assert_invalid(token(ec_key(), "ES256", exp=value), "claims")

    def test_no_object(self) -> None:
        """A payload that is no JSON object is refused, however deep it is."""
        for payload in (b"", b"[]", b"null", b"\xff", b"[" * 5000):
            presented = jwt.PyJWS().encode(payload, ec_key(), "ES256")
            self.assert_invalid(presented, "claims")


class ForgeryTests(IssuersTestCase):
    """What only looks like the issuer's."""

    def test_public_key_as_secret(self) -> None:
        """A token signed with HMAC and the public key as the secret is refused (RFC 8725, 2.1)."""
        key = rsa_key()
        for secret in (pem(key), pem(key).strip(), str(jwk(key)).encode()):
            for name in ("HS256", "HS384", "HS512"):
                algorithm = jwt.get_algorithm_by_name(name)
                for header in ({"alg": name}, {"alg": name, "kid": "rsa"}):
                    signing_input = forged(header, claims()).rpartition(".")[0]
                    signature = algorithm.sign(signing_input.encode(), secret)
                    self.assert_invalid(forged(header, claims(), signature), "algorithm")
        self.assertEqual(self.keys.asked, 0)

    def test_hmac_under_another_name(self) -> None:
        """Nor is it accepted under the name of the public key's own algorithm."""
        header = {"alg": "RS256", "kid": "rsa"}
        signing_input = forged(header, claims()).rpartition(".")[0]
        for name in ("HS256", "HS512"):
            algorithm = jwt.get_algorithm_by_name(name)
            signature = algorithm.sign(signing_input.encode(), pem(rsa_key()))
            self.assert_invalid(forged(header, claims(), signature), "not signed")

    def test_neither_passes_for_the_other(self) -> None:
        """Our own token is none of the issuer's, and the issuer's is none of ours."""
        signer = TokenSigner(b"s" * 32, algorithms=["HS256"], ttl=600, leeway=0, now=lambda: self.time)
        self.assert_invalid(signer.sign(17, "alice", "id-1"), "algorithm")
        with self.assertRaises(TokenInvalid):
            signer.verify(token(ec_key(), "ES256", sub="17", jti="id-1", aud=None))

    def test_none(self) -> None:
        """An unsigned token is refused in every spelling of `none`."""
        for algorithm in ("none", "None", "NONE", ""):
            for signature in (b"", b"\0" * 64):
                presented = forged({"alg": algorithm, "kid": "ec"}, claims(), signature)
                self.assert_invalid(presented, "algorithm")

    def test_header_of_any_type(self) -> None:
        """An `alg` or `kid` of another type is refused like a wrong one."""
        for value in (None, 1, True, [], ["ES256"], {"ES256": 1}):
            self.assert_invalid(forged({"alg": value}, claims(), b"x"), "algorithm")
            self.assert_invalid(forged({"alg": "ES256", "kid": value}, claims(), b"x"))
        self.assert_invalid(forged({}, claims(), b"x"), "algorithm")

    def test_other_algorithm_of_the_family(self) -> None:
        """An algorithm that isn't in the settings is refused, even for a key that suits it."""
        self.issuer = self.make(algorithms=["RS256", "ES256"])
        for algorithm in ("RS512", "PS256"):
            self.assert_invalid(token(rsa_key(), algorithm), "algorithm")

    def test_key_from_the_token(self) -> None:
        """A key, or the address of one, that comes in the token itself is not looked at."""
        for member in ({"jwk": jwk(rsa_key("two"))}, {"jku": "https://evil.example/"}):
            presented = jwt.encode(claims(), rsa_key("two"), "RS256", headers=member)
            self.assert_invalid(presented, "not signed")

    def test_other_key(self) -> None:
        """Another's signature is refused, and a change of any part too."""
        self.assert_invalid(token(rsa_key("two"), "RS256"), "not signed")
        header, payload, signature = token(ec_key(), "ES256").split(".")
        other = token(ec_key(), "ES256", sub="admin").split(".")[1]
        self.assert_invalid(f"{header}.{other}.{signature}", "not signed")
        self.assert_invalid(f"{header}.{payload}.{signature[:-6]}", "not signed")
        zeros = forged({"alg": "ES256"}, claims(), b"\0" * 64)
        self.assert_invalid(zeros, "not signed")

    def test_size(self) -> None:
        """A token over 8 KiB is refused before its key is looked for."""
        self.assert_invalid(token(ec_key(), "ES256", padding="x" * 8192), "too long")
        self.assertEqual(self.keys.asked, 0)

    def test_unavailable(self) -> None:
        """If the key can't be had, a token is neither good nor bad."""
        self.keys.away = True
        self.failureResultOf(self.issuer.verify(token(ec_key(), "ES256")), IssuerUnavailable)

    @FUZZED
    @given(st.text() | st.from_regex(r"\A[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\Z"))
    def test_anything(self, text: str) -> None:
        """Whatever is presented, the answer is `TokenInvalid`."""
        self.assert_invalid(text)

    @FUZZED
    @given(st.sampled_from(ASYMMETRIC), st.none() | st.just("rsa"), st.binary(max_size=300))
    def test_any_signature(self, algorithm: str, key_id: str | None, signature: bytes) -> None:
        """Whatever a signature is made of, it is not the issuer's."""
        header = {"alg": algorithm} | ({} if key_id is None else {"kid": key_id})
        self.assert_invalid(forged(header, claims(), signature), "not signed")

    @FUZZED
    @given(st.dictionaries(st.sampled_from(["iss", "sub", "exp", "nbf", "username"]), JSON_VALUES))
    def test_any_claims(self, changes: dict[str, Any]) -> None:
        """Whatever a genuine token claims, the answer is an identity that fits, or `TokenInvalid`."""
        result = self.issuer.verify(token(ec_key(), "ES256", **changes))
        result.addErrback(lambda failure: failure.trap(TokenInvalid) and None)
        identity = self.successResultOf(result)
        if identity is not None:
            self.assertEqual(identity.issuer, ISSUER)
            self.assertTrue(0 < len(identity.subject) <= 255)
            self.assertTrue(0 < len(identity.name) <= 255)


class IssuerOfTests(SynchronousTestCase):
    """Who is asked about a token."""

    def test_named(self) -> None:
        """The issuer that a token names, with a signature or without."""
        self.assertEqual(issuer_of(token(ec_key(), "ES256")), ISSUER)
        self.assertEqual(issuer_of(forged({}, {"iss": "x"})), "x")

    def test_not_named(self) -> None:
        """A token that names none, or what is no JWT, has no issuer."""
        for presented in (
            *("", "QWERTYUIOP", "..", "a.b.c", "a.é.c", "a.\ud800.c", "jti:x"),
            *(forged({}, {}), forged({}, {"iss": None}), forged({}, {"iss": [ISSUER]})),
            *(forged({}, [ISSUER]), forged({}, {"iss": 1}), forged({}, {"iss": ISSUER}) + ".x"),
            forged({}, {"iss": ISSUER, "padding": "x" * 8192}),
            "a." + "W1tb" * 2000 + ".c",
        ):
            self.assertIsNone(issuer_of(presented))

    @FUZZED
    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Whatever is presented, there is an answer."""
        self.assertIsNone(issuer_of(f"a.{text}.c"))
