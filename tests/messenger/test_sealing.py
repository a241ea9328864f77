"""Sealed values, the server's key and clients' keys: what is opened, and everything that is not."""

from __future__ import annotations

import base64
import builtins
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey
from twisted.trial.unittest import SynchronousTestCase

from realtime.http.origins import OriginPolicy
from realtime.messenger import sealing
from realtime.messenger.key_set_resource import PATH, KeySetResource
from realtime.messenger.sealing import ClientKey, NotOpened, Sealer
from realtime.messenger.sealing_keys import FILE_NAME, key_set, load_sealing_key, make_sealing_key
from realtime.web.sharing import Sharing
from realtime.web.site import NotFound, tree
from tests.accounts.folders import temporary_folder
from tests.logged import Logged
from tests.web.requests import SiteTestCase

KEY = make_sealing_key()
SEALER = Sealer(KEY)
SERVER = ClientKey.parse(KEY.public())
ALL = ["ECDH-ES", "ECDH-ES+A256KW", "dir", "A128GCM", "A256GCM", "A256CBC-HS512", "DEF"]
SEALED = SERVER.seal(b'{"message": "hello"}')


def text(value: bytes) -> str:
    """Bytes as base64url."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def sealed(header: dict[str, Any], key: Any = None, plaintext: bytes = b"{}") -> str:
    """A value sealed as a header says, by a client that may do anything."""
    header = {"alg": "ECDH-ES", "enc": "A256GCM"} | header
    registry = jwe.JWERegistry(algorithms=ALL, strict_check_header=False)
    return jwe.encrypt_compact(header, plaintext, key or ECKey.import_key({**KEY.public()}), registry=registry)


def with_header(value: str, **changes: Any) -> str:
    """A sealed value whose header says something else."""
    head, _, rest = value.partition(".")
    header = json.loads(base64.urlsafe_b64decode(head + "==")) | changes
    return f"{text(json.dumps(header).encode())}.{rest}"


class OpenTests(SynchronousTestCase):
    """What is sealed to the server's key."""

    def assert_not_opened(self, value: str, sealer: Sealer = SEALER) -> None:
        """It can't be opened, and the error tells nothing."""
        error = self.assertRaises(NotOpened, sealer.open, value)
        self.assertIn(str(error), ("too long", "no sealed value", "cannot be opened"))

    def test_round_trip(self) -> None:
        """What is sealed is opened, of any length."""
        for plaintext in (b"", b"{}", "Привет".encode(), bytes(1_000_000)):
            self.assertEqual(SEALER.open(SERVER.seal(plaintext)), plaintext)

    def test_never_the_same(self) -> None:
        """Each value has its own key."""
        self.assertNotEqual(SERVER.seal(b"{}"), SERVER.seal(b"{}"))

    def test_other_members(self) -> None:
        """Members of a header that mean nothing here are passed over."""
        for more in (
            {"kid": "x"},
            {"cty": "json"},
            {"typ": "JWE"},
            {"apu": "QWxpY2U", "apv": "Qm9i"},
            {"x": [1]},
        ):
            self.assertEqual(SEALER.open(sealed(more)), b"{}", more)

    def test_tampered(self) -> None:
        """A change in any part is noticed."""
        parts = SEALED.split(".")
        for index, part in enumerate(parts):
            for place in (0, len(part) // 2):
                changed = part[:place] + ("A" if part[place : place + 1] != "A" else "B") + part[place + 1 :]
                self.assert_not_opened(".".join([*parts[:index], changed, *parts[index + 1 :]]))
            for other in ("", "A", "=", "é"):
                if other != part:
                    self.assert_not_opened(".".join([*parts[:index], other, *parts[index + 1 :]]))

    def test_short_tag(self) -> None:
        """A shorter tag, which could be guessed, is none."""
        head, _, tag = SEALED.rpartition(".")
        short = base64.urlsafe_b64decode(tag + "==")
        for length in (0, 1, 4, 8, 12, 15):
            self.assert_not_opened(f"{head}.{text(short[:length])}")

    def test_other_shapes(self) -> None:
        """What is no compact form."""
        for value in (
            "",
            ".",
            "....",
            ".....",
            SEALED + ".",
            SEALED[:-1],
            "é",
            "\ud800",
            "{}",
            "\0" * 100,
            "." * 5000,
        ):
            self.assert_not_opened(value)

    def test_other_headers(self) -> None:
        """Headers that are no object, or are not JSON, or don't end."""
        for header in (b"", b"null", b"[]", b'"alg"', b"{", b"[" * 700, b'{"a":' * 120, b"\xff", b"{}", b"1"):
            self.assert_not_opened(f"{text(header)}..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA")

    def test_another_key(self) -> None:
        """What is meant for another key."""
        self.assert_not_opened(ClientKey.parse(make_sealing_key().public()).seal(b"{}"))
        self.assert_not_opened(SEALED, Sealer(make_sealing_key()))

    def test_other_algorithms(self) -> None:
        """Only the one algorithm and the one encryption, though the library knows others."""
        octets = OctKey.import_key({"kty": "oct", "k": text(bytes(32))})
        for value in (
            sealed({"alg": "ECDH-ES+A256KW"}),
            sealed({"enc": "A128GCM"}),
            sealed({"enc": "A256CBC-HS512"}),
            sealed({"alg": "dir"}, octets),
            with_header(SEALED, alg="none"),
            with_header(SEALED, alg=None),
            with_header(SEALED, alg=["ECDH-ES"]),
            with_header(SEALED, enc=7),
        ):
            self.assert_not_opened(value)

    def test_compressed(self) -> None:
        """Compression is refused before anything is inflated, and before a key is agreed on."""
        bomb = sealed({"zip": "DEF"}, plaintext=bytes(1_000_000))
        self.assertLess(len(bomb), 3000)
        sealer = Sealer(KEY)
        sealer._decrypt = None  # type: ignore[assignment]
        for value in (bomb, with_header(SEALED, zip="DEF"), with_header(SEALED, crit=["exp"])):
            self.assertRaises(NotOpened, sealer.open, value)
        self.assert_not_opened(bomb)
        self.assert_not_opened(with_header(SEALED, zip=None))

    def test_extensions(self) -> None:
        """An extension that must be understood is not."""
        for crit in (["b64"], ["alg"], [], "alg", None):
            self.assert_not_opened(with_header(SEALED, crit=crit, b64=True))

    def test_ephemeral_keys(self) -> None:
        """The client's part of the agreement must be a point of the curve, and nothing but that."""
        other = ECKey.generate_key("P-256").as_dict(private=False)
        edwards = OKPKey.generate_key("X25519").as_dict(private=False)
        good = {name: other[name] for name in ("kty", "crv", "x", "y")}
        refused: list[Any] = [
            good,
            good | {"y": good["x"]},
            good | {"x": text(bytes(32)), "y": text(bytes(32))},
            good | {"crv": "P-384"},
            good | {"x": ""},
            good | {"x": "A" * 1000},
            good | {"x": 7},
            good | {"d": text(bytes(31) + b"\1")},
            edwards,
            {},
            None,
            [],
            "x",
        ]
        for epk in refused:
            self.assert_not_opened(with_header(SEALED, epk=epk))

    def test_too_long(self) -> None:
        """The bound is that of the text."""
        self.assertEqual(Sealer(KEY, len(SEALED)).open(SEALED), b'{"message": "hello"}')
        self.assert_not_opened(SEALED, Sealer(KEY, len(SEALED) - 1))
        self.assert_not_opened(sealed({"kid": "x" * 2000}))

    @settings(deadline=None)
    @given(
        st.text(max_size=50)
        | st.lists(st.binary(max_size=40).map(text), min_size=5, max_size=5).map(".".join)
        | st.tuples(st.integers(0, len(SEALED)), st.text(max_size=3), st.integers(0, 3)).map(
            lambda change: SEALED[: change[0]] + change[1] + SEALED[change[0] + change[2] :]
        )
    )
    def test_anything(self, value: str) -> None:
        """Nothing raises anything else, and nothing is opened but what was sealed."""
        try:
            self.assertEqual((SEALER.open(value), value), (b'{"message": "hello"}', SEALED))
        except NotOpened:
            self.assertNotEqual(value, SEALED)


class ClientKeyTests(SynchronousTestCase):
    """Keys that clients name."""

    def setUp(self) -> None:
        """Have one of each kind."""
        self.keys: list[ECKey | OKPKey] = [ECKey.generate_key("P-256"), OKPKey.generate_key("X25519")]

    def test_forms(self) -> None:
        """An object, its text, and that in base64url with or without padding: sealed to it, and to it alone."""
        for key in self.keys:
            public = {**key.as_dict(private=False)}
            document = json.dumps(public).encode()
            padded = base64.urlsafe_b64encode(document).decode()
            forms: list[Any] = [
                public,
                document,
                document.decode(),
                f" {document.decode()}\n",
                padded,
                text(document),
            ]
            for form in forms:
                opened = jwe.decrypt_compact(ClientKey.parse(form).seal(b"{}"), key)
                self.assertEqual(opened.plaintext, b"{}")
                self.assertLessEqual(set(opened.headers()), {"alg", "enc", "epk", "kid"})
                self.assertLessEqual(set(opened.headers()["epk"]), {"kty", "crv", "x", "y"})

    def test_of_a_browser(self) -> None:
        """What WebCrypto exports says that a public key may be used for nothing."""
        public = self.keys[0].as_dict(private=False) | {"ext": True, "key_ops": []}
        self.assertTrue(ClientKey.parse(public).seal(b"{}"))

    def test_kid(self) -> None:
        """The key's own name goes back with what is sealed to it."""
        public = self.keys[0].as_dict(private=False)
        for kid, kept in (({}, None), ({"kid": "mine"}, "mine")):
            bare = {name: value for name, value in public.items() if name != "kid"}
            opened = jwe.decrypt_compact(ClientKey.parse(bare | kid).seal(b"{}"), self.keys[0])
            self.assertEqual(opened.headers().get("kid"), kept)

    def test_refused(self) -> None:
        """What is no key to seal to is refused in one line, which does not repeat it."""
        good = {"kty": "EC", "crv": "P-256", "x": KEY.x, "y": KEY.y}
        point = {"kty": "OKP", "crv": "X25519"}
        refused: list[Any] = [
            *("", "{", "null", "[]", "x" * 5000, "é", "\ud800", b"\xff", {}, "{}", "[" * 4000, '{"x":' * 800),
            {**KEY.public(), "d": KEY.d},
            good | {"d": ""},
            good | {"y": KEY.x},
            good | {"x": "!"},
            good | {"x": 7},
            good | {"x": "A" * 4000},
            good | {"crv": "P-384"},
            good | {"crv": "secp256k1"},
            good | {"use": "sig"},
            good | {"alg": "RSA-OAEP"},
            good | {"kid": "x" * 257},
            good | {"kid": 7},
            {name: value for name, value in good.items() if name != "y"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
            {"kty": "oct", "k": "AQAB"},
            {**OKPKey.generate_key("Ed25519").as_dict(private=False)},
            {**OKPKey.generate_key("X448").as_dict(private=False)},
            point | {"x": text(bytes(32))},
            point | {"x": text(b"\1" + bytes(31))},
            point | {"x": text(bytes(31))},
            point,
        ]
        for named in refused:
            with self.subTest(str(named)[:40]):
                error = self.assertRaises(ValueError, ClientKey.parse, named)
                self.assertNotIn("\n", str(error))
                self.assertNotIn(KEY.x, str(error))
                self.assertEqual(str(error)[:7], "The key")

    @settings(deadline=None)
    @given(
        st.text(max_size=40)
        | st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "kid"]), st.text(max_size=9))
    )
    def test_anything(self, named: Any) -> None:
        """Nothing raises anything else."""
        self.assertRaises(ValueError, ClientKey.parse, named)


class WithoutTheExtraTests(SynchronousTestCase):
    """joserfc is an extra."""

    def test_not_imported(self) -> None:
        """Who seals nothing does without it."""
        program = "import sys, realtime.messenger.sealing; sys.exit('joserfc' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", program], check=False).returncode, 0)

    def test_missing(self) -> None:
        """Sealing without it is a fault of the settings, in one line that says what to install."""
        import_module = builtins.__import__

        def without(name: str, *more: Any, **named: Any) -> Any:
            if name.startswith("joserfc"):
                raise ImportError(name)
            return import_module(name, *more, **named)

        sealing._registry.cache_clear()
        self.addCleanup(sealing._registry.cache_clear)
        self.patch(builtins, "__import__", without)
        error = self.assertRaises(ValueError, Sealer, KEY)
        self.assertIn("messenger.sealing", str(error))
        self.assertIn("txrealtime[sealing]", str(error))


class SealingKeyTests(SynchronousTestCase):
    """The key pair in the state directory."""

    def setUp(self) -> None:
        """Name a state directory that does not exist yet."""
        self.state_dir = temporary_folder(self) / "state"
        self.path = self.state_dir / FILE_NAME

    def test_made_once(self) -> None:
        """The first call makes it, the next ones find it; another directory has another."""
        made = load_sealing_key(self.state_dir)
        self.assertEqual(load_sealing_key(self.state_dir), made)
        self.assertNotEqual(load_sealing_key(temporary_folder(self)), made)

    def test_private(self) -> None:
        """Nobody but the owner can read it, and nothing else is left in the directory."""
        load_sealing_key(self.state_dir)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.state_dir.stat().st_mode), 0o700)
        self.assertEqual(os.listdir(self.state_dir), [FILE_NAME])

    def test_many_at_once(self) -> None:
        """Processes that start together get the same key."""
        together = Barrier(8)

        def load(_: int) -> str:
            together.wait()
            return load_sealing_key(self.state_dir).d

        with ThreadPoolExecutor(8) as pool:
            self.assertEqual(len(set(pool.map(load, range(8)))), 1)

    def test_others_may_read(self) -> None:
        """A file that others may read is used, with a warning."""
        load_sealing_key(self.state_dir)
        self.path.chmod(0o644)
        logged = Logged(self)
        key = load_sealing_key(self.state_dir)
        (event,) = logged.above_debug()
        self.assertNotIn(key.d, repr(event))

    def test_broken(self) -> None:
        """A file that holds no such key is a fault of the settings, and is not overwritten."""
        good = load_sealing_key(self.state_dir)
        other = make_sealing_key()
        fields = {"kty": "EC", "crv": "P-256", "x": good.x, "y": good.y, "d": good.d}
        for broken in (
            b"",
            b"null",
            b"\xff",
            b"[" * 5000,
            *(
                json.dumps(fields | change).encode()
                for change in (
                    {"d": other.d},
                    {"x": other.x},
                    {"d": ""},
                    {"d": good.d + "="},
                    {"d": "!" * 43},
                    {"d": "é"},
                    {"crv": "P-384"},
                    {"kty": "oct"},
                    {"d": text(bytes(32))},
                )
            ),
        ):
            self.path.write_bytes(broken)
            error = self.assertRaises(ValueError, load_sealing_key, self.state_dir)
            self.assertIn("state_dir", str(error))
            self.assertNotIn("\n", str(error))
            self.assertNotIn(good.d, str(error))
            self.assertEqual(self.path.read_bytes(), broken)

    def test_no_directory(self) -> None:
        """A directory that can't be made is a fault of the settings."""
        self.state_dir.write_text("in the way")
        self.assertRaises(ValueError, load_sealing_key, self.state_dir)

    def test_thumbprint(self) -> None:
        """The key's name is that of RFC 7638, as others compute it."""
        self.assertEqual(KEY.kid, ECKey.import_key({**KEY.public()}).thumbprint())


class KeySetTests(SiteTestCase):
    """The key set over HTTP."""

    def setUp(self) -> None:
        """Serve it to pages of one origin."""
        super().setUp()
        self.serve(
            tree({PATH: KeySetResource(KEY, Sharing(OriginPolicy(["https://app.example"])))}, NotFound())
        )

    def test_public_half(self) -> None:
        """It holds the public half of the one key, and what it is for; nothing of the private half."""
        response = self.ask("GET", "/.well-known/jwks.json")
        self.assertEqual((response.status, response.headers["content-type"]), (200, "application/jwk-set+json"))
        self.assertEqual(response.body, key_set(KEY))
        (key,) = json.loads(response.body)["keys"]
        self.assertEqual(
            key,
            {
                "kty": "EC",
                "crv": "P-256",
                "x": KEY.x,
                "y": KEY.y,
                "use": "enc",
                "alg": "ECDH-ES",
                "kid": KEY.kid,
            },
        )

    def test_head(self) -> None:
        """HEAD is answered as GET is, without the body."""
        head, get = (self.ask(method, "/.well-known/jwks.json") for method in ("HEAD", "GET"))
        self.assertEqual((head.status, head.body, head.own_headers()), (200, b"", get.own_headers()))

    def test_other_methods(self) -> None:
        """It can be read only."""
        self.assertEqual(self.ask("POST", "/.well-known/jwks.json").status, 405)

    def test_sharing(self) -> None:
        """Pages of the origins that are allowed may read it."""
        for origin, allowed in (("https://app.example", True), ("https://other.example", False)):
            for method, status in (("GET", 200), ("OPTIONS", 204)):
                response = self.ask(method, "/.well-known/jwks.json", f"Origin: {origin}")
                self.assertEqual(response.status, status)
                self.assertEqual(
                    response.headers.get("access-control-allow-origin"), origin if allowed else None
                )
