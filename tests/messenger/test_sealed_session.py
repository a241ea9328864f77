"""messenger with sealed values: what must be sealed, what may be, and who gets what in which form."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.messenger.parts import Sealing
from realtime.messenger.sealing import ClientKey, Sealer
from realtime.messenger.sealing_keys import make_sealing_key
from tests.messenger.world import Message, Messenger, Person

SERVER_KEY = make_sealing_key()
CLIENT_KEY = make_sealing_key()
TO_SERVER = ClientKey.parse(SERVER_KEY.public())
AT_CLIENT = Sealer(CLIENT_KEY)
NAMED = json.dumps(CLIENT_KEY.public())


class SealedTestCase(SynchronousTestCase):
    """A messenger whose ``serverData`` may be sealed, with two users; at the end nothing may be left."""

    is_required = False

    def setUp(self) -> None:
        """Build it."""
        self.messenger = Messenger(sealing=Sealing(Sealer(SERVER_KEY), is_required=self.is_required))
        self.alice, self.bob = self.messenger.user("alice"), self.messenger.user("bob")

    def tearDown(self) -> None:
        """Go."""
        self.assertEqual(self.messenger.left_over(), {})

    def seal(self, value: Any) -> str:
        """What a client sends."""
        return TO_SERVER.seal(json.dumps(value).encode())

    def opened(self, message: Message) -> Any:
        """What a client reads."""
        return json.loads(AT_CLIENT.open(message["serverData"]))

    def enter_sealed(self, token: str) -> Person:
        """A client that names its key in the handshake."""
        person = self.messenger.connect(token, f"authKey: {NAMED}")
        self.assertIn("userList", self.opened(person.one("AUTH_MESSAGE")))
        return person


class OptionalTests(SealedTestCase):
    """Who names a key gets sealed values; whatever is sealed is opened."""

    def test_each_in_its_form(self) -> None:
        """What one says goes sealed to who named a key, and open to who did not."""
        sealed, plain = self.enter_sealed("alice"), self.messenger.enter("bob")
        self.assertEqual(self.opened(sealed.one())["connectionStatus"], "CONNECT")
        sealed.send("CHAT_MESSAGE", self.seal({"message": "hello"}))
        self.assertEqual(self.opened(sealed.one())["message"], "hello")
        self.assertEqual(plain.one()["serverData"]["message"], "hello")
        plain.send("DIALOG_MESSAGE", {"receiver": str(self.alice.id)}, clientData={"n": 1})
        dialog = sealed.one()
        self.assertEqual((dialog["clientData"], self.opened(dialog)["sender"]), ({"n": 1}, str(self.bob.id)))
        self.assertEqual(plain.one()["status"], "SUCCESS")
        plain.go()
        self.assertEqual(self.opened(sealed.one())["connectionStatus"], "DISCONNECT")

    def test_own_change(self) -> None:
        """Of a changed profile its owner is told by SUCCESS alone, sealed or not."""
        sealed, plain = self.enter_sealed("alice"), self.messenger.enter("bob")
        sealed.read()
        sealed.send("PROFILE", self.seal({"nickname": "Al"}))
        self.assertEqual(sealed.read(), [{"type": "PROFILE", "status": "SUCCESS"}])
        self.assertEqual(plain.one()["serverData"]["nickname"], "Al")

    def test_key_in_message(self) -> None:
        """The key may come with the token, as an object or a text."""
        for key in (CLIENT_KEY.public(), NAMED, urlsafe_b64encode(NAMED.encode()).decode()):
            person = self.messenger.connect()
            person.send("AUTH_MESSAGE", self.seal({"token": "alice", "key": key}))
            self.assertIn("userList", self.opened(person.one()))
            person.go()

    def test_not_opened(self) -> None:
        """What was tampered with, or meant for another, is discarded and counted."""
        person = self.enter_sealed("alice")
        good = self.seal({"message": "hello"})
        other = ClientKey.parse(make_sealing_key().public()).seal(b'{"message": "hello"}')
        for sealed in (good[:-4] + "AAAA", other, "", "a.b.c.d.e", good[10:]):
            person.send("CHAT_MESSAGE", sealed)
        self.assertEqual((person.read(), self.messenger.discarded), ([], 5))

    def test_no_key(self) -> None:
        """What is no key is said to be none, and closes with 1008."""
        for named in ("{}", "x", json.dumps({"kty": "RSA"})):
            error, closed = self.messenger.connect("alice", f"authKey: {named}").read()
            self.assertEqual((error["error"]["errorCode"], closed), ("3", {"closed": 1008}))


class RequiredTests(SealedTestCase):
    """Nothing goes unsealed."""

    is_required = True

    def test_sealed(self) -> None:
        """A client that seals is served."""
        person = self.enter_sealed("alice")
        person.send("CHAT_MESSAGE", self.seal({"message": "hello"}))
        self.assertEqual(self.opened(person.one())["message"], "hello")

    def test_open_values(self) -> None:
        """What is not sealed is discarded and counted."""
        person = self.enter_sealed("alice")
        person.send("CHAT_MESSAGE", {"message": "hello"})
        self.assertEqual((person.read(), self.messenger.discarded), ([], 1))

    def test_token(self) -> None:
        """A token in a message that is not sealed is not looked at; one without a key is refused."""
        person = self.messenger.connect()
        person.send("AUTH_MESSAGE", {"token": "alice", "key": CLIENT_KEY.public()})
        self.assertEqual(person.read(), [])
        person.send("AUTH_MESSAGE", self.seal({"token": "alice"}))
        error, closed = person.read()
        self.assertEqual((error["error"]["errorCode"], closed), ("3", {"closed": 1008}))
        refused = self.messenger.connect("alice").read()
        self.assertEqual(refused[-1], {"closed": 1008})


class OffTests(SynchronousTestCase):
    """Where nothing is sealed."""

    def test_off(self) -> None:
        """A key is passed over, and a sealed value is no object."""
        messenger = Messenger()
        messenger.user("alice")
        person = messenger.connect("alice", f"authKey: {NAMED}")
        self.assertIn("userList", person.one()["serverData"])
        person.send("CHAT_MESSAGE", TO_SERVER.seal(b'{"message": "hello"}'))
        self.assertEqual((person.read(), messenger.discarded), ([], 1))
        self.assertEqual(messenger.left_over(), {})
