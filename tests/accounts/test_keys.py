"""Public keys: which are taken from a file or a set, and what they may be used with."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.keys import VerificationKey, parse_key_set, parse_pem, suitable_keys
from tests.accounts.jose import ec_key, edwards_key, jwk, key_set, pem, rsa_key
from tests.accounts.test_tokens import FUZZED, JSON_VALUES

RSA = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


class PEMTests(SynchronousTestCase):
    """A key in a file."""

    def test_algorithms(self) -> None:
        """What a key may be used with follows from the key."""
        self.assertEqual(parse_pem(pem(rsa_key())).algorithms, RSA)
        self.assertEqual(parse_pem(pem(ec_key())).algorithms, {"ES256"})
        self.assertEqual(parse_pem(pem(ec_key(ec.SECP384R1))).algorithms, {"ES384"})
        self.assertEqual(parse_pem(pem(ec_key(ec.SECP521R1))).algorithms, {"ES512"})
        self.assertEqual(parse_pem(pem(edwards_key())).algorithms, {"EdDSA"})

    def test_refused(self) -> None:
        """Weak keys, unknown curves and everything that is no public key are refused."""
        private = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        cases = [
            pem(rsa_key(bits=1024)),
            pem(ec_key(ec.SECP256K1)),
            private,
            b"",
            b"secret" * 10,
            pem(rsa_key())[:100],
        ]
        for text in cases:
            with self.assertRaises(ValueError) as raised:
                parse_pem(text)
            self.assertNotIn("\n", str(raised.exception))


class KeySetTests(SynchronousTestCase):
    """Keys in a JSON Web Key Set."""

    def one(self, member: Any) -> list[VerificationKey]:
        """What is taken of a member; none is none, and not an error, as there is another key."""
        return list(parse_key_set(key_set(member, jwk(edwards_key(), kid="other"))))[:-1]

    def test_good(self) -> None:
        """Keys of every accepted kind are read, with their ids."""
        keys = parse_key_set(
            key_set(jwk(rsa_key(), kid="r"), jwk(ec_key(), kid="e", use="sig"), jwk(edwards_key()))
        )
        self.assertEqual([key.key_id for key in keys], ["r", "e", None])
        self.assertEqual([key.algorithms for key in keys], [RSA, {"ES256"}, {"EdDSA"}])
        self.assertEqual(keys[0].public, rsa_key().public_key())

    def test_alg_narrows(self) -> None:
        """A key that names its algorithm is used with no other, and never with one that misfits."""
        [key] = self.one(jwk(rsa_key(), alg="PS256"))
        self.assertEqual(key.algorithms, {"PS256"})
        for algorithm in ("HS256", "ES256", "none", "RSA-OAEP", ""):
            self.assertEqual(self.one(jwk(rsa_key(), alg=algorithm)), [])

    def test_symmetric_is_never_used(self) -> None:
        """A symmetric key is passed over, whatever else its member says."""
        for more in ({}, {"alg": "HS256"}, {"alg": "RS256"}, {**jwk(rsa_key()), "kty": "oct"}):
            self.assertEqual(self.one({"kty": "oct", "k": "c2VjcmV0" * 8} | more), [])

    def test_not_for_signatures(self) -> None:
        """A key that is meant for something else is passed over."""
        for members in ({"use": "enc"}, {"use": ""}, {"key_ops": ["encrypt"]}):
            self.assertEqual(self.one(jwk(rsa_key(), **members)), [])
        self.assertEqual(len(self.one(jwk(rsa_key(), key_ops=["verify"]))), 1)

    def test_weak_or_oversized(self) -> None:
        """A key that can be broken, or that takes too long to check with, is passed over."""
        oversized = jwk(rsa_key()) | {"n": "_" * 3000}
        for member in (jwk(rsa_key(bits=1024)), jwk(ec_key(ec.SECP256K1)), oversized):
            self.assertEqual(self.one(member), [])

    def test_private_half(self) -> None:
        """Of a key that is published with its private half only the public half is read."""
        [key] = self.one(jwk(rsa_key(), d="AQAB", p="AQ"))
        self.assertEqual(key.public, rsa_key().public_key())

    def test_broken_members(self) -> None:
        """A member that can't be read doesn't take the others with it."""
        good = jwk(ec_key())
        members: list[Any] = [
            *(None, 1, "key", [], {}, {"kty": "RSA"}, {"kty": 1}, {"kty": "EC", "crv": "P-256"}),
            *({**jwk(rsa_key()), "n": 5}, {**jwk(rsa_key()), "e": "A"}, {**good, "x": "!!"}),
            *({**good, "y": good["x"]}, {**good, "kid": 7}, {**good, "crv": "P-384"}),
            *({"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {**good, "x": "é"}),
            *({**jwk(rsa_key()), "e": ""}, {**jwk(rsa_key()), "n": ""}, {**good, "key_ops": "x"}),
        ]
        for member in members:
            self.assertEqual(self.one(member), [], member)

    def test_no_key_set(self) -> None:
        """What is no key set, or one without a usable key, is an error of one line."""
        for text in (
            *(b"", b"<html>", b"[]", b"null", b'{"keys": {}}', b'{"keys": null}', b"{}", b"\xff"),
            *(b'{"keys": []}', key_set({"kty": "oct", "k": "AAAA"}), b"[" * 100_000),
            b'{"keys": ' + b"[" * 100_000,
        ):
            with self.assertRaisesRegex(ValueError, r"\A.*JSON Web Key Set.*\Z"):
                parse_key_set(text)

    @FUZZED
    @given(st.dictionaries(st.sampled_from(["kty", "n", "e", "crv", "x", "y", "alg"]), JSON_VALUES))
    def test_any_member(self, changes: dict[str, Any]) -> None:
        """Whatever a member holds, it is a key or it is passed over."""
        for key in (rsa_key(), ec_key(), edwards_key()):
            self.one(json.loads(json.dumps(jwk(key) | changes)))


class SuitableKeysTests(SynchronousTestCase):
    """Which keys a token is tried with."""

    def test_choice(self) -> None:
        """A `kid` must be equal; without one every key of the algorithm is a candidate."""
        keys = parse_key_set(
            key_set(jwk(rsa_key(), kid="a"), jwk(rsa_key("two"), kid="b"), jwk(ec_key(), kid="a"))
        )
        self.assertEqual(suitable_keys(keys, "a", "RS256"), [keys[0]])
        self.assertEqual(suitable_keys(keys, "a", "ES256"), [keys[2]])
        self.assertEqual(suitable_keys(keys, None, "RS256"), [keys[0], keys[1]])
        for key_id, algorithm in (("c", "RS256"), ("", "RS256"), ("b", "ES256"), ("a", "HS256")):
            self.assertEqual(suitable_keys(keys, key_id, algorithm), [])

    def test_bound(self) -> None:
        """One token never costs more than four signatures, however many keys there are."""
        keys = parse_key_set(key_set(*[jwk(rsa_key())] * 200))
        self.assertEqual(len(keys), 100)
        self.assertEqual(len(suitable_keys(keys, None, "RS256")), 4)
