"""messenger on the wire: the way in, the room, dialogs, profiles, histories, and whatever else may come."""

from __future__ import annotations

import json
from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.authentication import Identity
from realtime.accounts.check_token import OutsideProfile
from realtime.accounts.errors import IssuerUnavailable
from realtime.cluster.errors import ClusterUnavailable
from realtime.storage.errors import StorageUnavailable
from tests.messenger.world import DAY, START, TAKEOVER, Messenger, Person
from tests.websocket.peers import PING, client_frame

PICTURE = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


class ProtocolTestCase(SynchronousTestCase):
    """A messenger with three users; at the end nothing may be left."""

    def setUp(self) -> None:
        """Build it."""
        self.begin(Messenger())

    def begin(self, messenger: Messenger) -> None:
        """Have another one."""
        self.messenger = messenger
        self.alice, self.bob, self.carol = [messenger.user(name) for name in ("alice", "bob", "carol")]

    def tearDown(self) -> None:
        """Go."""
        self.assertEqual(self.messenger.left_over(), {})

    def profile(self, user: int, name: str) -> dict[str, str]:
        """What others are shown of a user who has set nothing."""
        row = self.messenger.database.query("SELECT strftime('%s', registered) FROM users WHERE id = ?", user)
        self.assertIsNotNone(row[0][0])
        return {"userId": str(user), "nickname": name, "avatar": "", "language": "", "status": ""}

    def dialog(self, sender: Person, receiver: object, text: str, key: str | None = None) -> None:
        """Send a dialog."""
        head = {"receiver": receiver} if key is None else {"receiver": receiver, "clientMessageId": key}
        sender.send("DIALOG_MESSAGE", head, clientData={"message": text})


class AuthenticationTests(ProtocolTestCase):
    """The way in."""

    def test_header(self) -> None:
        """A token in the header: everybody online, oneself included; then the others hear."""
        alice = self.messenger.connect("alice")
        (message,) = alice.read()
        (profile,) = message["serverData"].pop("userList")
        self.assertEqual(message, {"type": "AUTH_MESSAGE", "status": "SUCCESS", "serverData": {}})
        self.assertEqual(set(profile.pop("registerDate")[10::3]), {"T", ":"} | set(profile["lastOnline"][19:]))
        self.assertEqual(profile.pop("lastOnline"), "2026-09-21T14:13:20Z")
        self.assertEqual(profile, self.profile(self.alice.id, "alice"))
        bob = self.messenger.connect("bob")
        names = [each["nickname"] for each in bob.one("AUTH_MESSAGE")["serverData"]["userList"]]
        self.assertEqual(names, ["alice", "bob"])
        connect = alice.one()
        self.assertEqual(connect["type"], "USER_CONNECTION_MESSAGE")
        self.assertEqual(list(connect["serverData"])[:2], ["connectionStatus", "userId"])
        self.assertEqual(connect["serverData"]["connectionStatus"], "CONNECT")
        self.assertEqual(connect["serverData"]["nickname"], "bob")

    def test_usual_places(self) -> None:
        """The token may be where other protocols have it; the document's header comes first."""
        person = self.messenger.connect(None, "Authorization: Bearer bob")
        self.assertEqual(person.one()["status"], "SUCCESS")
        person = self.messenger.connect("alice", "Authorization: Bearer nobody")
        self.assertEqual(person.one()["status"], "SUCCESS")

    def test_first_message(self) -> None:
        """Without a token everything is discarded until one comes."""
        person = self.messenger.connect()
        person.send("CHAT_MESSAGE", {"message": "too early"})
        person.raw("{")
        person.send("AUTH_MESSAGE", {"token": 1})
        self.assertEqual(person.read(), [])
        person.send("AUTH_MESSAGE", {"token": "alice"})
        self.assertEqual(person.one()["status"], "SUCCESS")
        self.assertEqual(self.messenger.database.query("SELECT * FROM messenger_messages"), [])

    def test_not_valid(self) -> None:
        """A wrong token: error "2" and 4401."""
        for person in (self.messenger.connect("wrong"), self.messenger.connect()):
            person.send("AUTH_MESSAGE", {"token": "wrong"})
            error, closed = person.read()
            self.assertEqual((error["type"], error["status"]), ("AUTH_MESSAGE", "ERROR"))
            self.assertEqual(error["error"]["errorCode"], "2")
            self.assertEqual(closed, {"closed": 4401})

    def test_too_late(self) -> None:
        """No token in time: the same."""
        person = self.messenger.connect()
        self.messenger.clock.advance(30)
        error, closed = person.read()
        self.assertEqual((error["error"]["errorCode"], closed), ("2", {"closed": 4401}))

    def test_away(self) -> None:
        """A token that can't be checked now is not called wrong: 1013."""
        for away in (StorageUnavailable("away"), IssuerUnavailable("away")):
            self.messenger.authenticator.away = away
            self.assertEqual(self.messenger.connect("alice").read(), [{"closed": 1013}])
        self.messenger.authenticator.away = None
        self.messenger.database.away = True
        self.assertEqual(self.messenger.connect("alice").read(), [{"closed": 1013}])

    def test_others_out_of_reach(self) -> None:
        """Who can't be seated, or counted as there, is to come again; it is noted nowhere."""
        for part, what in ((self.messenger.leases, "claim"), (self.messenger.presence, "enter")):
            patch = self.patch(part, what, lambda *_: fail(ClusterUnavailable("away")))
            self.assertEqual(self.messenger.connect("alice").read(), [{"closed": 1013}])
            patch.restore()
        alice = self.messenger.enter("alice")
        alice.send("CHAT_MESSAGE", {"message": "hello"})
        self.assertEqual(alice.one()["serverData"]["message"], "hello")

    def test_outside_profile(self) -> None:
        """What an outside server says of a user is shown, as far as it says something."""
        self.messenger.authenticator.profile = OutsideProfile("Al", "https://pictures.example/a", None, "hi", 0)
        shown = self.messenger.connect("alice").one()["serverData"]["userList"][0]
        self.assertEqual(
            (shown["nickname"], shown["avatar"], shown["language"], shown["status"], shown["registerDate"]),
            ("Al", "https://pictures.example/a", "", "hi", "1970-01-01T00:00:00Z"),
        )

    def test_outside_picture(self) -> None:
        """A picture of ours that an outside server's takes the place of is removed."""
        alice = self.messenger.enter("alice")
        alice.send("SAVE_AVATAR", {"imageBase64": PICTURE})
        alice.go()
        self.messenger.authenticator.profile = OutsideProfile(avatar="/b")
        self.messenger.enter("alice").go()
        self.messenger.enter("alice")
        self.assertEqual(self.messenger.avatars.removed, [f"/avatars/{len(PICTURE):064x}"])

    def test_account_gone(self) -> None:
        """A user who is no more has no valid token."""
        self.messenger.database.query("DELETE FROM users WHERE id = ?", self.alice.id)
        self.assertEqual(self.messenger.connect("alice").read()[-1], {"closed": 4401})

    def test_held(self) -> None:
        """What comes while the token is checked is taken after it; too much of it closes with 4429."""
        held = self.messenger.authenticator.held = []
        person, flood = self.messenger.connect("alice"), self.messenger.connect("bob")
        person.send("CHAT_MESSAGE", {"message": "first"})
        for _ in range(3):
            flood.send("CHAT_MESSAGE", {"message": "x" * 30_000})
        self.assertEqual(flood.read(), [{"closed": 4429}])
        self.assertEqual(person.read(), [])
        held[0].callback(Identity(self.alice, None))
        self.assertEqual([each["type"] for each in person.read()], ["AUTH_MESSAGE", "CHAT_MESSAGE"])
        held[1].callback(Identity(self.bob, None))  # who has gone is not let in
        self.assertEqual(person.read(), [])

    def test_again(self) -> None:
        """Who is authenticated stays who it is."""
        person = self.messenger.enter("alice")
        person.send("AUTH_MESSAGE", {"token": "bob"})
        self.assertEqual((person.read(), self.messenger.discarded), ([], 1))

    def test_too_many_connections(self) -> None:
        """More connections than a user may have are refused, here too."""
        self.messenger.left_over()
        self.begin(Messenger(per_user=1))
        self.messenger.surroundings.admission.identify(self.alice.id)
        self.assertEqual(self.messenger.connect("alice").read()[-1], {"closed": 4429})


class TakeoverTests(ProtocolTestCase):
    """One connection for each user."""

    def test_alive(self) -> None:
        """If the older one answers its ping, the newcomer is one too many: error "1" and 4409."""
        older, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        older.read()
        newcomer = self.messenger.connect("alice")
        self.assertEqual(newcomer.read(), [])
        self.assertEqual(older.read(), [])
        error, closed = newcomer.read()
        self.assertEqual((error["error"]["errorCode"], closed), ("1", {"closed": 4409}))
        older.send("CHAT_MESSAGE", {"message": "still here"})
        self.assertEqual(bob.one()["serverData"]["message"], "still here")

    def test_dead(self) -> None:
        """If it doesn't, it is cut, and to the others nothing has changed."""
        older, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        older.read()
        older.answers = False
        newcomer = self.messenger.connect("alice")
        self.messenger.clock.advance(TAKEOVER - 0.1)
        self.assertEqual((newcomer.read(), older.read(), older.pings), ([], [], [b"seat"]))
        self.messenger.clock.advance(0.1)
        users = newcomer.one()["serverData"]["userList"]
        self.assertEqual([each["nickname"] for each in users], ["alice", "bob"])
        self.assertEqual((older.read(), bob.read()), ([{"closed": 4409}], []))
        bob.send("CHAT_MESSAGE", {"message": "hello"})
        self.assertEqual((newcomer.one()["type"], older.read()), ("CHAT_MESSAGE", []))
        newcomer.go()
        self.assertEqual(bob.read()[-1]["serverData"]["connectionStatus"], "DISCONNECT")

    def test_leaves_meanwhile(self) -> None:
        """If it goes by itself, the newcomer is let in at once."""
        older = self.messenger.enter("alice")
        newcomer = self.messenger.connect("alice")
        older.go()
        self.assertEqual(newcomer.one()["status"], "SUCCESS")

    def test_newcomer_leaves(self) -> None:
        """A newcomer that goes while it waits leaves everything as it was."""
        older = self.messenger.enter("alice")
        older.answers = False
        self.messenger.connect("alice").go()
        self.messenger.clock.advance(TAKEOVER)
        older.send("CHAT_MESSAGE", {"message": "hello"})
        self.assertEqual(older.one()["type"], "CHAT_MESSAGE")

    def test_several(self) -> None:
        """Of several newcomers one is let in."""
        older = self.messenger.enter("alice")
        older.answers = False
        newcomers = [self.messenger.connect("alice") for _ in range(5)]
        self.messenger.clock.advance(TAKEOVER)
        results = []
        for _ in range(3):
            results += [message for newcomer in newcomers for message in newcomer.read()]
        self.assertEqual([each["status"] for each in results if "status" in each].count("SUCCESS"), 1)
        self.assertEqual([each for each in results if "closed" in each], [{"closed": 4409}] * 4)

    def test_one_for_each_user(self) -> None:
        """With one connection for each user, a successor is let in all the same."""
        self.messenger.left_over()
        self.begin(Messenger(per_user=1))
        older = self.messenger.enter("alice")
        older.answers = False
        newcomer = self.messenger.connect("alice")
        self.messenger.clock.advance(TAKEOVER)
        self.assertEqual(newcomer.one()["status"], "SUCCESS")


class RoomTests(ProtocolTestCase):
    """What everybody hears."""

    def test_said(self) -> None:
        """A message goes to everyone online, the sender included, once it is stored."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        self.messenger.database.held = True
        alice.send("CHAT_MESSAGE", {"message": "Hello ☃", "more": 1}, more=2)
        self.assertEqual(bob.read(), [])
        self.messenger.database.commit()
        for person in (alice, bob):
            self.assertEqual(
                person.one(),
                {
                    "type": "CHAT_MESSAGE",
                    "serverData": {
                        "message": "Hello ☃",
                        "sender": str(self.alice.id),
                        "sendTime": str(START),
                    },
                },
            )
        self.messenger.database.held = False

    def test_milliseconds(self) -> None:
        """Times are in the unit of the settings."""
        self.messenger.left_over()
        self.begin(Messenger(time_unit="milliseconds"))
        alice = self.messenger.enter("alice")
        self.messenger.clock.advance(0.25)
        alice.send("CHAT_MESSAGE", {"message": "Hello"})
        self.assertEqual(alice.one()["serverData"]["sendTime"], f"{START}250")

    def test_gone(self) -> None:
        """Who goes is named by its id alone."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        bob.go()
        self.assertEqual(
            alice.one(),
            {
                "type": "USER_CONNECTION_MESSAGE",
                "serverData": {"connectionStatus": "DISCONNECT", "userId": str(self.bob.id)},
            },
        )
        self.messenger.clock.advance(100)
        self.messenger.enter("bob")
        self.assertEqual(alice.one()["serverData"]["lastOnline"], "2026-09-21T14:15:00Z")

    def test_unavailable(self) -> None:
        """What can't be stored is not said, and its sender is closed with 1013."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        self.messenger.database.away = True
        alice.send("CHAT_MESSAGE", {"message": "Hello"})
        self.assertEqual(alice.read(), [{"closed": 1013}])
        self.assertEqual([each["serverData"]["connectionStatus"] for each in bob.read()], ["DISCONNECT"])

    def test_profile(self) -> None:
        """A changed profile is shown to the others, and to those who come."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        bob.send("PROFILE", {"nickname": "Bobby", "status": "away ☃"})
        self.assertEqual(bob.read(), [{"type": "PROFILE", "status": "SUCCESS"}])
        shown = alice.one()["serverData"]
        self.assertEqual((shown["connectionStatus"], shown["nickname"]), ("CONNECT", "Bobby"))
        bob.send("PROFILE", {"language": "de"})
        bob.read()
        shown = alice.one()["serverData"]
        self.assertEqual([shown[key] for key in ("status", "language")], ["away ☃", "de"])
        users = self.messenger.connect("carol").read()[0]["serverData"]["userList"]
        self.assertEqual([each["nickname"] for each in users], ["alice", "Bobby", "carol"])
        bob.send("PROFILE", {"nickname": ""})
        bob.send("PROFILE", {"nickname": "x" * 256})
        bob.send("PROFILE", {"nickname": "a\0b"})
        self.assertEqual(self.messenger.discarded, 3)

    def test_avatar(self) -> None:
        """A picture is taken, and its address shown to the others."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        bob.send("SAVE_AVATAR", {"imageBase64": PICTURE})
        self.assertEqual(bob.read(), [{"type": "SAVE_AVATAR", "status": "SUCCESS"}])
        self.assertEqual(alice.one()["serverData"]["avatar"], f"/avatars/{len(PICTURE):064x}")

    def test_avatar_refused(self) -> None:
        """One that is too large is error "1", what is none "2", a second one meanwhile "3"."""
        alice = self.messenger.enter("alice")
        for text, code in (("A" * 700_000, "1"), (b64encode(b"hello").decode(), "2"), ("☃", "2")):
            alice.send("SAVE_AVATAR", {"imageBase64": text})
            message = alice.one()
            self.assertEqual((message["type"], message["status"]), ("SAVE_AVATAR", "ERROR"))
            self.assertEqual(message["error"]["errorCode"], code)
        waiting = self.messenger.avatars.waiting = []
        alice.send("SAVE_AVATAR", {"imageBase64": PICTURE})
        alice.send("SAVE_AVATAR", {"imageBase64": PICTURE})
        self.assertEqual(alice.one()["error"]["errorCode"], "3")
        waiting[0]()
        self.assertEqual(alice.one()["status"], "SUCCESS")
        self.messenger.avatars.waiting = None
        self.messenger.database.away = True
        alice.send("SAVE_AVATAR", {"imageBase64": PICTURE})
        self.assertEqual(alice.one()["error"]["errorCode"], "3")


class DialogTests(ProtocolTestCase):
    """From one to another."""

    def test_delivered(self) -> None:
        """What the receiver's end has is SUCCESS for the sender, once."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        data = '{"message" : "caf\\u00e9", "n":1.50,"deep":[[ ]]}'
        head = f'{{"receiver": "{self.bob.id}", "clientMessageId": "a1"}}'
        alice.raw(f'{{"type": "DIALOG_MESSAGE", "clientData": {data}, "serverData": {head}}}')
        bob.answers = False
        self.messenger.clock.advance(0)
        text, ping = bob.peer.frames()
        self.assertEqual(ping.opcode, PING)
        self.assertEqual(
            text.payload.decode(),
            f'{{"type":"DIALOG_MESSAGE","clientData":{data},'
            f'"serverData":{{"messageId":"1","sender":"{self.alice.id}","sendTime":"{START}"}}}}',
        )
        self.assertEqual(alice.read(), [])
        bob.pong(ping.payload)
        bob.pong(ping.payload)
        self.assertEqual(
            alice.one(),
            {
                "type": "DELIVERY_MESSAGE",
                "status": "SUCCESS",
                "serverData": {"messageId": "1", "receiver": str(self.bob.id), "clientMessageId": "a1"},
            },
        )

    def test_waits_for_the_receiver(self) -> None:
        """For who is away it waits, in order, with the same ids."""
        alice = self.messenger.enter("alice")
        for number in range(100):
            self.dialog(alice, str(self.bob.id), f"number {number}")
        self.assertEqual(alice.read(), [])
        bob = self.messenger.connect("bob")
        bob.answers = False
        first = [each for each in bob.read() if each["type"] == "DIALOG_MESSAGE"]
        self.assertEqual(len(first), 64)
        bob.go()
        alice.read()
        bob = self.messenger.connect("bob")
        again = [each for each in bob.read() if each["type"] == "DIALOG_MESSAGE"]
        self.assertEqual(again[:64], first)
        self.assertEqual([each["clientData"]["message"] for each in again], [f"number {n}" for n in range(100)])
        delivered = [each["serverData"]["messageId"] for each in alice.read() if "status" in each]
        self.assertEqual(delivered, [each["serverData"]["messageId"] for each in again])

    def test_pongs_against_the_rate(self) -> None:
        """Who gets many dialogs may answer all their pings; pongs that nobody asked for count."""
        self.messenger.left_over()
        self.begin(Messenger(per_second=5))
        bob = self.messenger.enter("bob")
        for _ in range(5):
            alice = self.messenger.enter("alice")
            for number in range(10):
                self.dialog(alice, str(self.bob.id), str(number))
            self.assertEqual(len([each for each in bob.read() if each["type"] == "DIALOG_MESSAGE"]), 10)
            alice.go()
        for _ in range(11):
            bob.pong(b"delivery-1")
        self.assertEqual(bob.read()[-1], {"closed": 4429})

    def test_waits_for_the_sender(self) -> None:
        """The outcome waits for a sender who is away, and is told until it is confirmed."""
        alice = self.messenger.enter("alice")
        self.dialog(alice, self.bob.id, "hello")
        alice.go()
        self.messenger.enter("bob").read()
        alice = self.messenger.connect("alice")
        alice.answers = False
        self.assertEqual([each["type"] for each in alice.read()], ["AUTH_MESSAGE", "DELIVERY_MESSAGE"])
        alice.go()
        alice = self.messenger.connect("alice")
        self.assertEqual([each["type"] for each in alice.read()], ["AUTH_MESSAGE", "DELIVERY_MESSAGE"])
        alice.go()
        self.assertEqual([each["type"] for each in self.messenger.connect("alice").read()], ["AUTH_MESSAGE"])

    def test_to_oneself(self) -> None:
        """Who writes to itself gets both."""
        alice = self.messenger.enter("alice")
        self.dialog(alice, str(self.alice.id), "note")
        self.assertEqual([each["type"] for each in alice.read()], ["DIALOG_MESSAGE", "DELIVERY_MESSAGE"])

    def test_unknown_receiver(self) -> None:
        """An unknown receiver is ERROR at once, whatever was written for one."""
        alice = self.messenger.enter("alice")
        for receiver in ("99", "0", "-1", "nobody", str(10**30), 99, 2**40, "٣"):
            self.dialog(alice, receiver, "hello", f"to {receiver}")
            message = alice.one()
            self.assertEqual((message["type"], message["status"]), ("DELIVERY_MESSAGE", "ERROR"))
            self.assertEqual(message["serverData"]["receiver"], str(receiver))
            self.assertEqual(message["serverData"]["clientMessageId"], f"to {receiver}")

    def test_mailbox_full(self) -> None:
        """What is too much for a mailbox is ERROR at once; there is room again when some are read."""
        self.messenger.left_over()
        self.begin(Messenger(mailbox_limit=3))
        alice = self.messenger.enter("alice")
        for number in range(4):
            self.dialog(alice, str(self.bob.id), str(number))
        self.assertEqual(alice.one()["status"], "ERROR")
        bob = self.messenger.enter("bob")
        self.dialog(alice, str(self.bob.id), "4")
        self.assertEqual(bob.one("DIALOG_MESSAGE")["clientData"], {"message": "4"})

    def test_again(self) -> None:
        """The same id again sends nothing twice, and repeats the outcome once there is one."""
        alice = self.messenger.enter("alice")
        for _ in range(3):
            self.dialog(alice, str(self.bob.id), "hello", "a1")
        self.assertEqual(alice.read(), [])
        bob = self.messenger.connect("bob")
        self.assertEqual([each["type"] for each in bob.read()], ["AUTH_MESSAGE", "DIALOG_MESSAGE"])
        outcome = alice.one("DELIVERY_MESSAGE")
        self.dialog(alice, str(self.bob.id), "hello", "a1")
        self.assertEqual((alice.read(), bob.read()), ([outcome], []))
        self.dialog(alice, "nobody", "hello", "a2")
        failed = alice.one()
        self.dialog(alice, str(self.bob.id), "hello", "a2")
        self.assertEqual(alice.one(), failed)
        self.dialog(bob, str(self.alice.id), "hello", "a1")
        self.assertEqual(alice.one()["type"], "DIALOG_MESSAGE")

    def test_expired(self) -> None:
        """What has waited for too long is ERROR, and is not delivered any more."""
        alice = self.messenger.enter("alice")
        self.dialog(alice, str(self.bob.id), "hello")
        self.messenger.clock.advance(7 * DAY - 1)
        self.assertEqual(alice.read(), [])
        self.messenger.clock.advance(61)
        self.assertEqual(alice.one()["status"], "ERROR")
        self.assertEqual([each["type"] for each in self.messenger.connect("bob").read()], ["AUTH_MESSAGE"])

    def test_expired_while_nobody_was_there(self) -> None:
        """The same if nobody was there to see it."""
        alice = self.messenger.enter("alice")
        self.dialog(alice, str(self.bob.id), "hello")
        alice.go()
        self.messenger.clock.advance(8 * DAY)
        self.assertEqual([each["type"] for each in self.messenger.connect("bob").read()], ["AUTH_MESSAGE"])
        self.assertEqual(self.messenger.connect("alice").read()[-1]["status"], "ERROR")

    def test_unavailable(self) -> None:
        """What can't be stored has no outcome: its sender is closed with 1013, and sends it again."""
        alice = self.messenger.enter("alice")
        self.messenger.database.away = True
        self.dialog(alice, str(self.bob.id), "hello", "a1")
        self.assertEqual(alice.read(), [{"closed": 1013}])

    def test_database_away_meanwhile(self) -> None:
        """While the database is away nobody is told; when it is back, everybody is."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        bob.answers = False
        self.dialog(alice, str(self.bob.id), "hello")
        bob.read()
        self.messenger.database.away = True
        bob.pong(bob.pings[-1])
        self.messenger.clock.advance(10)
        self.assertEqual(alice.read(), [])
        self.messenger.database.away = False
        self.messenger.clock.advance(2)
        self.assertEqual(alice.one()["status"], "SUCCESS")


class HistoryTests(ProtocolTestCase):
    """What was said before."""

    def test_room(self) -> None:
        """The room's newest messages, oldest first; more by asking again."""
        alice = self.messenger.enter("alice")
        for number in range(10):
            alice.send("CHAT_MESSAGE", {"message": str(number)})
        alice.read()
        alice.send("HISTORY", {"limit": 3})
        message = alice.one()
        self.assertEqual((message["type"], message["status"]), ("HISTORY", "SUCCESS"))
        lines = message["serverData"]["messages"]
        self.assertEqual([each["message"] for each in lines], ["7", "8", "9"])
        self.assertEqual(set(lines[0]), {"message", "sender", "sendTime", "messageId"})
        for before in (lines[0]["messageId"], int(lines[0]["messageId"])):
            alice.send("HISTORY", {"before": before, "limit": 2})
            lines_before = alice.one()["serverData"]["messages"]
            self.assertEqual([each["message"] for each in lines_before], ["5", "6"])

    def test_dialogs(self) -> None:
        """Both sides of a dialog, without what failed, and nobody else's."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        carol = self.messenger.enter("carol")
        for number in range(4):
            self.dialog(*((alice, self.bob.id) if number % 2 else (bob, self.alice.id)), str(number))
        self.dialog(carol, self.alice.id, "other")
        self.dialog(alice, "nobody", "failed")
        for person in (alice, bob, carol, alice, bob, carol):
            person.read()
        alice.send("HISTORY", {"peer": str(self.bob.id)})
        data = alice.one()["serverData"]
        self.assertEqual(data["peer"], str(self.bob.id))
        self.assertEqual([each["clientData"]["message"] for each in data["messages"]], list("0123"))
        self.assertEqual(
            [(each["sender"], each["receiver"]) for each in data["messages"][:2]],
            [(str(self.bob.id), str(self.alice.id)), (str(self.alice.id), str(self.bob.id))],
        )
        carol.send("HISTORY", {"peer": str(self.bob.id)})
        self.assertEqual(carol.one()["serverData"]["messages"], [])

    def test_fits(self) -> None:
        """A reply holds the newest that fit."""
        self.messenger.left_over()
        self.begin(Messenger(history_bytes=1000))
        alice = self.messenger.enter("alice")
        for number in range(10):
            alice.send("CHAT_MESSAGE", {"message": str(number) * 200})
        alice.read()
        alice.send("HISTORY", {})
        self.assertEqual(
            [each["message"][0] for each in alice.one()["serverData"]["messages"]], ["7", "8", "9"]
        )

    def test_odd(self) -> None:
        """What is no id is discarded."""
        alice = self.messenger.enter("alice")
        odd: list[object] = [{"before": "x"}, {"peer": "nobody"}, {"limit": 0}, {"limit": "5"}, []]
        for data in odd:
            alice.send("HISTORY", data)
        self.assertEqual((alice.read(), self.messenger.discarded), ([], 5))


class FaultTests(ProtocolTestCase):
    """Whatever comes."""

    def test_discarded(self) -> None:
        """What can't be obeyed is discarded and counted; fifty in a minute close with 1008."""
        alice = self.messenger.enter("alice")
        faults = (
            *("{", "[]", "null", '{"type": "CHAT_MESSAGE"}', '{"type": "OTHER", "serverData": {}}'),
            *('{"type": "CHAT_MESSAGE", "serverData": "sealed"}', '{"type": 1, "serverData": {}}'),
            *('{"type": "DIALOG_MESSAGE", "serverData": {"receiver": "1"}}', '{"type": "AUTH_MESSAGE"}'),
            *('{"type": "DIALOG_MESSAGE", "clientData": 1, "serverData": {}}', "[" * 60_000),
            '{"type": "CHAT_MESSAGE", "serverData": {"message": NaN}}',
            '{"type": "CHAT_MESSAGE", "serverData": {"message": "\\u0000"}}',
        )
        for text in faults:
            alice.raw(text)
        alice.peer.binary(b"\x01")
        self.assertEqual((alice.read(), self.messenger.discarded), ([], len(faults) + 1))
        for _ in range(49 - len(faults) - 1):
            alice.raw("{")
        alice.send("CHAT_MESSAGE", {"message": "still here"})
        self.assertEqual(alice.one()["type"], "CHAT_MESSAGE")
        alice.raw("{")
        self.assertEqual(alice.read(), [{"closed": 1008}])

    def test_too_big(self) -> None:
        """Only SAVE_AVATAR may be larger than 65 536 bytes: 1009."""
        fits = self.messenger.enter("alice")
        empty = len(json.dumps({"type": "CHAT_MESSAGE", "serverData": {"message": ""}}))
        fits.send("CHAT_MESSAGE", {"message": "x" * (65_536 - empty)})
        self.assertEqual(fits.one()["type"], "CHAT_MESSAGE")
        fits.send("CHAT_MESSAGE", {"message": "x" * (65_537 - empty)})
        self.assertEqual(fits.read(), [{"closed": 1009}])
        for person, text in (
            (self.messenger.enter("bob"), "{" * 65_537),
            (
                self.messenger.connect(),
                json.dumps({"type": "SAVE_AVATAR", "serverData": {"imageBase64": "A" * 65_536}}),
            ),
        ):
            person.raw(text)
            self.assertEqual(person.read(), [{"closed": 1009}])

    @settings(max_examples=100)
    @given(
        st.lists(
            st.one_of(
                st.text(max_size=30),
                st.builds(
                    lambda kind, data, more: json.dumps({"type": kind, "serverData": data, **more}),
                    st.sampled_from(
                        ["CHAT_MESSAGE", "DIALOG_MESSAGE", "PROFILE", "HISTORY", "SAVE_AVATAR", "AUTH_MESSAGE"]
                    ),
                    st.dictionaries(
                        st.sampled_from(
                            ["message", "receiver", "peer", "before", "limit", "nickname", "token"]
                        ),
                        st.none()
                        | st.integers()
                        | st.text(max_size=5)
                        | st.floats()
                        | st.lists(st.none(), max_size=2),
                    ),
                    st.dictionaries(st.just("clientData"), st.none() | st.text(max_size=3)),
                ),
            ),
            max_size=8,
        )
    )
    def test_anything(self, texts: list[str]) -> None:
        """No fault of ours is logged, and an honest client is served beside it."""
        self.setUp()
        alice = self.messenger.enter("alice")
        for text in texts:
            alice.peer.text(text.encode("utf-8", "replace"))
        alice.peer.write(client_frame(PING, b""))
        honest = self.messenger.enter("bob")
        honest.send("CHAT_MESSAGE", {"message": "hello"})
        self.assertEqual(honest.read()[-1]["serverData"]["message"], "hello")
        self.assertEqual(self.flushLoggedErrors(), [])
        self.tearDown()

    def test_fault_of_ours(self) -> None:
        """A fault of ours is logged, and closes this connection alone."""
        alice, bob = self.messenger.enter("alice"), self.messenger.enter("bob")
        alice.read()
        broken: Deferred[None] = Deferred()
        self.patch(self.messenger.store, "say", lambda *_: broken)
        alice.send("CHAT_MESSAGE", {"message": "hello"})
        broken.errback(ZeroDivisionError())
        self.assertEqual(alice.read(), [{"closed": 1013}])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(bob.one()["serverData"]["connectionStatus"], "DISCONNECT")
