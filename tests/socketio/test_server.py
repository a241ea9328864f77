"""Socket.IO: namespaces, events, acknowledgements, rooms, and clients that break the rules."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.closing import CloseCode
from realtime.socketio import packets
from realtime.socketio.client import MOST_NAMESPACES
from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_packets import Group
from realtime.socketio.namespace import Namespace, Refused
from realtime.socketio.socket import MOST_ACKNOWLEDGEMENTS, NotAcknowledged
from tests.socketio.namespaces import Handler, Player, Say, ServerTestCase

PLACEHOLDER = '{"_placeholder":true,"num":%d}'


def sid_of(answer: Any, namespace: str = "") -> str:
    """The id in the answer to a CONNECT, which holds nothing else."""
    begin = f"0{namespace}"
    assert answer.startswith(begin), answer
    payload = json.loads(answer.removeprefix(begin))
    assert list(payload) == ["sid"], answer
    sid: str = payload["sid"]
    return sid


class ConnectTests(ServerTestCase):
    """How a client joins a namespace."""

    def test_default(self) -> None:
        """The namespace ``/``: its answer comes before everything else, with an id of its own."""
        for packet, auth in (("0", {}), ('0{"token":"123"}', {"token": "123"})):
            player = self.connect(packet)
            answer, greeting = player.heard()
            self.assertNotEqual(sid_of(answer), self.application.sessions[-1].sid)
            self.assertEqual(greeting, f'2["auth",{json.dumps(auth, separators=(",", ":"))}]')

    def test_custom(self) -> None:
        """Another namespace, with and without a comma and a payload."""
        for packet, auth in (("0/custom", "{}"), ("0/custom,", "{}"), ('0/custom,{"t":1}', '{"t":1}')):
            answer, greeting = self.connect(packet).heard()
            sid_of(answer, "/custom,")
            self.assertEqual(greeting, f'2/custom,["auth",{auth}]')

    def test_by_itself(self) -> None:
        """On a WebSocket the answer comes a moment before the events; with polling, together with them."""
        player = self.connect()
        self.clock.advance(0)
        self.assertEqual([frame.payload[:2] for frame in player.peer.frames()], [b"40"])
        self.root.sockets[0].emit("second")
        player.say('21["third"]')
        self.assertEqual(player.heard(), ['2["auth",{}]', '2["second"]', "31[]"])
        client = self.polling()
        client.send("40")
        self.assertEqual(client.get().body.split(b"\x1e")[1:], [b'42["auth",{}]'])

    def test_gone_before_the_events(self) -> None:
        """A client that has left by then gets none of them."""
        player = self.connect()
        player.say("0/custom", "1")
        answers = [str(each)[:2] for each in player.heard()]
        self.assertEqual(answers, ["0{", "0/", "2/"])
        self.connect().peer.go()
        self.clock.advance(1)

    def test_several(self) -> None:
        """A session carries several namespaces, each with an id of its own."""
        player = self.connect()
        first = sid_of(player.heard()[0])
        second = sid_of(player.ask("0/custom,")[0], "/custom,")
        self.assertNotEqual(first, second)
        player.say('2["message",1]', '2/custom,["message",2]')
        self.assertEqual(player.heard(), ['2["message-back",1]', '2/custom,["message-back",2]'])
        self.assertEqual((self.root.got[0][1], self.custom.got[0][1]), ((1,), (2,)))

    def test_unknown(self) -> None:
        """A namespace that is not there; the connection goes on."""
        player = self.player()
        expected = '4/random,{"message":"Invalid namespace"}'
        self.assertEqual(player.ask("0/random", '0/random,{"a":1}'), [expected, expected])
        self.assertEqual(len(player.ask("0")), 2)
        self.assertEqual(player.ask("0/custom?a=b,"), ['4/custom?a=b,{"message":"Invalid namespace"}'])

    def test_refused(self) -> None:
        """A handler may refuse, with data or without; the client may try again."""
        player = self.player()
        self.assertEqual(player.ask('0{"how":"refuse"}'), ['4{"message":"nope"}'])
        self.assertEqual(
            player.ask('0/custom,{"how":"refuse-with-data"}'),
            ['4/custom,{"message":"nope","data":{"code":42}}'],
        )
        self.assertEqual(len(player.ask("0")), 2)
        self.assertEqual((self.root.reasons, self.custom.reasons), ([], []))

    def test_fault_of_ours(self) -> None:
        """A handler that fails is logged, and the client not let in."""
        player = self.player()
        self.assertEqual(player.ask('0{"how":"raise"}'), ['4{"message":"Temporarily unavailable"}'])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_waiting(self) -> None:
        """A handler may take its time; what it sends meanwhile comes behind the answer."""
        player = self.player()
        self.assertEqual(player.ask('0{"how":"wait"}'), [])
        self.root.sockets[0].emit("second")
        self.root.admitting[0].callback(None)
        answer, *events = player.heard()
        sid_of(answer)
        self.assertEqual(events, ['2["auth",{"how":"wait"}]', '2["second"]'])

    def test_gone_meanwhile(self) -> None:
        """A client that is gone by then is told to the handler as one that has left."""
        player = self.connect('0{"how":"wait"}')
        player.peer.go()
        self.assertEqual(self.root.reasons, [])
        self.root.admitting[0].callback(None)
        self.assertEqual(self.root.reasons, ["transport close"])

    def test_refused_meanwhile(self) -> None:
        """It may be refused then, too."""
        player = self.connect('0{"how":"wait"}')
        self.root.admitting[0].errback(Refused("late"))
        self.assertEqual(player.heard(), ['4{"message":"late"}'])

    def test_impatient(self) -> None:
        """Events before the answer, and a second CONNECT, end everything."""
        for packet in ('2["message"]', "0", "1", "31[]"):
            player = self.connect('0{"how":"wait"}')
            player.say(packet)
            self.assert_ended(player)
        for waiting in self.root.admitting:
            waiting.callback(None)
        self.assertEqual(self.root.got, [])

    def test_out_at_once(self) -> None:
        """A handler may put a client out as it comes: it is let in first, and told."""
        player = self.connect('0{"how":"kick"}')
        self.clock.advance(0)
        frames = [frame.payload for frame in player.peer.frames()]
        self.assertEqual([frame[:2] for frame in frames[:-1]], [b"40", b"42", b"41"])
        self.assertEqual(int.from_bytes(frames[-1][:2]), CloseCode.FORBIDDEN)
        self.assertEqual(self.root.reasons, ["server namespace disconnect"])

    def test_too_late(self) -> None:
        """A session without a namespace is closed in time."""
        player = self.player()
        self.clock.advance(25)
        player.peer.frames()
        player.peer.text(b"3")
        self.clock.advance(20)
        self.assert_ended(player, Reason.FORCED_CLOSE)

    def test_refused_and_too_late(self) -> None:
        """One that was refused is as well, and one that has left its last namespace after as long again."""
        refused, left = self.connect('0{"how":"refuse"}'), self.connect()
        self.clock.advance(20)
        left.say("1")
        self.clock.advance(5)
        for player in (refused, left):
            player.peer.text(b"3")
            player.peer.frames()
        self.clock.advance(20)
        self.assert_ended(refused, Reason.FORCED_CLOSE)
        self.assertEqual(len(self.engine), 1)
        self.clock.advance(5)
        left.peer.frames()
        left.peer.text(b"3")
        self.clock.advance(15)
        self.assert_ended(left, Reason.FORCED_CLOSE)

    def test_in_time(self) -> None:
        """One that is in a namespace stays."""
        player = self.connect("0/custom")
        for _ in range(4):
            self.clock.advance(25)
            player.peer.text(b"3")
        self.assertEqual(self.application.reasons, [])

    def test_too_many(self) -> None:
        """The namespaces of a session are bounded."""
        player = self.player()
        many = {f"/{number}": Namespace(f"/{number}", Handler(), clock=self.clock) for number in range(20)}
        self.application._namespaces.update(many)
        for name in many:
            player.say(f"0{name}")
        refused = [each for each in player.heard() if str(each).startswith("4/")]
        self.assertEqual(refused[0], f'4/{MOST_NAMESPACES},{{"message":"Too many namespaces"}}')
        self.assertEqual(len(refused), 20 - MOST_NAMESPACES)
        player.say("1/0,")
        self.assertEqual(len(player.ask("0/19")), 2)

    def test_gone_without_any(self) -> None:
        """A session that is gone is not closed any more."""
        self.player().peer.go()
        self.assertEqual(len(self.application._unused), 0)


class LeavingTests(ServerTestCase):
    """How a client and a namespace part."""

    def test_client(self) -> None:
        """A client leaves one namespace and stays in the other; there is no reply."""
        player = self.connect()
        player.say("0/custom")
        self.assertEqual(player.ask("1/custom,"), [])
        self.assertEqual(self.custom.reasons, ["client namespace disconnect"])
        self.assertEqual(player.ask('2["message",1]'), ['2["message-back",1]'])
        self.assertEqual(len(player.ask("0/custom")), 2)
        self.assertEqual(self.root.reasons, [])

    def test_server(self) -> None:
        """A client that is put out is told, and its session closed if it is in no other namespace."""
        player = self.connect()
        player.say("0/custom")
        self.assertEqual(player.ask('2/custom,["kick"]'), ["1/custom,"])
        self.assertEqual(self.custom.reasons, ["server namespace disconnect"])
        self.assertEqual(player.ask('2/custom,["message"]', '2["message"]'), ['2["message-back"]'])
        player.say('2["kick"]')
        self.assert_ended(player, Reason.FORCED_CLOSE)
        self.assertEqual(self.root.reasons, ["server namespace disconnect"])

    def test_lost(self) -> None:
        """With the session all its namespaces are left, for the same reason."""
        player = self.connect()
        player.say("0/custom")
        player.peer.go()
        self.assertEqual((self.root.reasons, self.custom.reasons), (["transport close"],) * 2)

    def test_nothing_after(self) -> None:
        """A socket that is over sends nothing."""
        player = self.connect()
        player.say("0/custom", "1/custom,")
        player.heard()
        self.custom.sockets[0].emit("x")
        self.namespaces["/custom"].to(self.custom.sockets[0].id, "x")
        self.assertEqual(player.heard(), [])

    def test_rooms_are_left(self) -> None:
        """Nothing is left of a socket's rooms."""
        player = self.connect()
        player.say('2["join","a"]')
        self.assertEqual(len(self.namespaces["/"]), 1)
        player.say("1")
        self.assertEqual(len(self.namespaces["/"]), 0)


class EventTests(ServerTestCase):
    """Events both ways."""

    def test_plain(self) -> None:
        """Arguments come back as they came."""
        player = self.connect()
        self.assertEqual(
            player.ask('2["message",1,"2",{"3":[true,null,"é😀"]}]'),
            ['2["message-back",1,"2",{"3":[true,null,"é😀"]}]'],
        )

    def test_binary(self) -> None:
        """So do attachments, which follow their packet."""
        player = self.connect()
        self.assertEqual(
            player.ask(f'52-["message",{PLACEHOLDER % 0},{PLACEHOLDER % 1}]', b"\x01\x02\x03", b""),
            [f'52-["message-back",{PLACEHOLDER % 0},{PLACEHOLDER % 1}]', b"\x01\x02\x03", b""],
        )

    def test_typed(self) -> None:
        """A handler gets the types that it asks for, or is told that they don't fit."""
        player = self.connect()
        player.say('2["say",{"text":"hi"}]', '2["say",{"text":1}]', '2["say"]', '2["other",{"text":"hi"}]')
        self.assertEqual(
            self.root.got,
            [
                ("say", (Say("hi"),), True),
                ("say", ({"text": 1},), False),
                ("say", (), False),
                ("other", ({"text": "hi"},), True),
            ],
        )

    def test_order(self) -> None:
        """Events are given to the handler in the order in which they came."""
        player = self.connect()
        player.say(*(f'2["e",{number}]' for number in range(20)))
        self.assertEqual([arguments for _, arguments, _ in self.root.got], [(number,) for number in range(20)])

    def test_fault_of_ours(self) -> None:
        """A handler that fails ends that socket alone, and is logged."""
        player = self.connect()
        player.say("0/custom")
        self.assertEqual(player.ask('2["raise"]'), ["1"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(player.ask('2/custom,["message"]'), ['2/custom,["message-back"]'])

    def test_beyond_the_rate(self) -> None:
        """What comes beyond the rate is given to the handler as that, and attachments don't get lost."""
        self.configure(per_second=2.0)
        player = self.connect()
        player.say('2["a"]', f'51-["b",{PLACEHOLDER % 0}]', b"x", '2["c"]', f'51-["d",{PLACEHOLDER % 0}]', b"y")
        self.assertEqual([name for name, _, _ in self.root.got], ["a", "b"])
        self.assertEqual(self.root.beyond, ["c", "d"])

    def test_by_polling(self) -> None:
        """All the same over polling, attachments in base64."""
        client = self.polling()
        client.send("40")
        client.get()
        client.post(f'451-["message",{PLACEHOLDER % 0}]\x1ebAQID'.encode())
        self.assertEqual(client.get().body, f'451-["message-back",{PLACEHOLDER % 0}]\x1ebAQID'.encode())
        client.post(f'451-9["x",{PLACEHOLDER % 0}]'.encode())
        client.post(b"bAQID")
        self.assertEqual(client.get().body, f"461-9[{PLACEHOLDER % 0}]\x1ebAQID".encode())


class AcknowledgementTests(ServerTestCase):
    """Answers to events, both ways."""

    def test_of_ours(self) -> None:
        """A client that asks for one is given it, once."""
        player = self.connect()
        player.say("0/custom")
        self.assertEqual(
            player.ask('2456["message-with-ack",1,"2",{"3":[false]}]'), ['3456[1,"2",{"3":[false]}]']
        )
        self.assertEqual(player.ask('2/custom,0["x"]'), ["3/custom,0[]"])
        self.assertEqual(
            player.ask(f'52-789["x",{PLACEHOLDER % 0},{PLACEHOLDER % 1}]', b"\x01\x02\x03", b"\x04"),
            [f"62-789[{PLACEHOLDER % 0},{PLACEHOLDER % 1}]", b"\x01\x02\x03", b"\x04"],
        )

    def test_of_theirs(self) -> None:
        """A client's acknowledgement fires what waits for it."""
        player = self.connect()
        socket = self.root.sockets[0]
        first, second = (socket.emit_with_acknowledgement("x", number, timeout=5) for number in (1, 2))
        self.assertEqual(player.heard()[2:], ['21["x",1]', '22["x",2]'])
        player.say(f"61-2[{PLACEHOLDER % 0}]", b"a", '31["b",2]')
        self.assertEqual(self.successResultOf(first), ["b", 2])
        self.assertEqual(self.successResultOf(second), [b"a"])

    def test_unknown(self) -> None:
        """One that nobody awaits, or that comes twice, is passed over."""
        player = self.connect()
        acknowledged = self.root.sockets[0].emit_with_acknowledgement("x", timeout=5)
        player.say("31[1]", "31[2]", "37[]")
        self.assertEqual(self.successResultOf(acknowledged), [1])
        self.assertEqual(self.application.reasons, [])

    def test_too_late(self) -> None:
        """One that does not come in time fails; when it comes after all it is passed over."""
        player = self.connect()
        acknowledged = self.root.sockets[0].emit_with_acknowledgement("x", timeout=5)
        self.clock.advance(5)
        self.failureResultOf(acknowledged, NotAcknowledged)
        player.say("31[1]")
        self.assertEqual(self.application.reasons, [])

    def test_gone(self) -> None:
        """With the socket all that is awaited fails."""
        for leave in ("1", None):
            player = self.connect()
            acknowledged = self.root.sockets[-1].emit_with_acknowledgement("x", timeout=5)
            if leave is None:
                player.peer.go()
            else:
                player.say(leave)
            self.failureResultOf(acknowledged, NotAcknowledged)
            late = self.root.sockets[-1].emit_with_acknowledgement("x", timeout=5)
            self.clock.advance(5)
            self.failureResultOf(late, NotAcknowledged)

    def test_too_many(self) -> None:
        """A client that gives none is not asked for more without end."""
        self.configure(send_buffer_bytes=1_000_000)
        self.connect()
        socket = self.root.sockets[0]
        awaited = [socket.emit_with_acknowledgement("x", timeout=5) for _ in range(MOST_ACKNOWLEDGEMENTS + 1)]
        self.failureResultOf(awaited[-1], NotAcknowledged)
        self.assertNoResult(awaited[-2])
        self.clock.advance(5)
        for each in awaited[:-1]:
            self.failureResultOf(each, NotAcknowledged)


class RoomTests(ServerTestCase):
    """Events for many."""

    def test_to_a_room(self) -> None:
        """All in it get the event, but the one that is left out."""
        players = [self.connect('0{"how":"quiet"}') for _ in range(4)]
        for player, socket in zip(players[:3], self.root.sockets, strict=False):
            socket.join("a")
            player.heard()
        players[3].heard()
        self.namespaces["/"].to("a", "hello", {"x": 1}, but=self.root.sockets[0])
        self.assertEqual(
            [player.heard() for player in players], [[], ['2["hello",{"x":1}]'], ['2["hello",{"x":1}]'], []]
        )

    def test_own_room(self) -> None:
        """A socket's id is a room of its own."""
        player, other = self.connect(), self.connect()
        player.heard()
        other.heard()
        self.namespaces["/"].to(self.root.sockets[0].id, "hello")
        self.assertEqual((player.heard(), other.heard()), (['2["hello"]'], []))

    def test_leaving(self) -> None:
        """Who has left gets no more; nobody is told to an empty room."""
        player = self.connect()
        socket = self.root.sockets[0]
        socket.join("a")
        socket.join("a")
        socket.leave("a")
        socket.leave("a")
        player.heard()
        self.namespaces["/"].to("a", "hello")
        self.assertEqual(player.heard(), [])

    def test_namespaces_are_apart(self) -> None:
        """A room of one namespace is not that of another."""
        player = self.connect()
        player.say("0/custom")
        player.heard()
        self.root.sockets[0].join("a")
        self.custom.sockets[0].join("a")
        self.namespaces["/custom"].to("a", "hello")
        self.assertEqual(player.heard(), ['2/custom,["hello"]'])

    def test_encoded_once(self) -> None:
        """An event for many is encoded once, and written once for each form."""
        players = [self.connect() for _ in range(3)]
        polling = [self.polling(), self.polling()]
        for client in polling:
            client.send("40")
            client.get()
        for socket, player in zip(self.root.sockets, [*players, None, None], strict=True):
            socket.join("a")
            if player is not None:
                player.heard()
        encoded: list[Group] = []
        event = packets.event

        def counting(*arguments: Any, **more: Any) -> Group:
            encoded.append(event(*arguments, **more))
            return encoded[-1]

        self.patch(packets, "event", counting)
        self.namespaces["/"].to("a", "hello", b"\x01")
        self.assertEqual(
            [player.heard() for player in players], [[f'51-["hello",{PLACEHOLDER % 0}]', b"\x01"]] * 3
        )
        for client in polling:
            self.assertEqual(client.get().body, f'451-["hello",{PLACEHOLDER % 0}]\x1ebAQ=='.encode())
        self.assertEqual(len(encoded), 1)


class FaultTests(ServerTestCase):
    """What breaks the rules ends the session at once, and not by a time-out."""

    def test_in_a_namespace(self) -> None:
        """Types that are none, payloads that are wrong, ids that are none, attachments out of place."""
        for messages in (
            *(("abc",), ("",), ("7",), ("4",), ('4{"message":"x"}',)),  # of which the last is ours to send
            *(("2",), ("2{}",), ("2[]",), ("2[1.5]",), ("2[null]",), ('2"x"',), ('2["x"',), ("2{",)),
            *(('2["connect"]',), ('2["disconnect"]',), ('2["newListener"]',)),
            *(("3",), ("3[]",), ("3x[]",), ("31{}",), ("31",)),
            *(("0",), ('0{"a":1}',), ("0[]",), ("0null",), ("0/custom,[]",)),
            *((b"\x01",), ('51-["x"]', '2["y"]'), ('51-["x"]', "0/custom"), ('52-["x"]', b"a", "1")),
            *(('50-["x"]',), ('5["x"]',), ('511-["x"]',), ("6[]",), ("61-[]",), ('51["x"]',)),
            *((f'51-["x",{PLACEHOLDER % 1}]', b"a"), ('51-["x",{"_placeholder":true,"num":"0"}]', b"a")),
            *(('2["x",' + "[" * 400 + "]" * 400 + "]",), ("2/custom,[1]",), ("1/custom,",), ("31/custom,[]",)),
            *(("1{}",), ("0/" + "x" * 200,)),
        ):
            player = self.connect('0{"how":"quiet"}')
            player.heard()
            player.say(*messages)
            self.assert_ended(player)
        self.assertEqual(self.root.got, [])
        self.assertEqual(set(self.root.reasons), {"parse error"})

    def test_before_any(self) -> None:
        """Everything but a CONNECT before one."""
        for message in ('2["x"]', "1", "31[]", '51-["x"]', b"\x01"):
            player = self.player()
            player.say(message)
            if message == '51-["x"]':
                player.say(b"a")
            self.assert_ended(player)

    @settings(deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.text(max_size=30),
                st.from_regex(
                    r"\A[0-6]([0-9]-)?(/custom,)?[0-9]?(\[\"(x|say|kick|message)\"[^\n]?.{0,8}\])?",
                    fullmatch=True,
                ),
                st.binary(max_size=4),
            ),
            max_size=10,
        ),
        st.booleans(),
    )
    def test_garbage(self, messages: list[str | bytes], old: bool) -> None:
        """Any messages are answered or end the session, without a traceback, and leave nothing."""
        self.configure()
        player = self.player(3 if old else 4)
        player.say("0/custom")
        for message in messages:
            player.say(b"\x04" + message if old and isinstance(message, bytes) else message)
        self.tearDown()
        self.assertEqual(self.logged.above_debug(), [])
        for handler in (self.root, self.custom):
            self.assertEqual(len(handler.sockets), len(handler.reasons))


class OldClientTests(ServerTestCase):
    """Clients of Socket.IO 2.x."""

    def test_default(self) -> None:
        """They are in ``/`` by themselves, with the handshake's query, and say so if they like."""
        player = Player(self, self.websocket("EIO=3&transport=websocket&token=t"))
        opening, answer, greeting = player.peer.texts()
        self.assertEqual((opening[:1], answer), (b"0", b"40"))
        auth = json.loads(greeting[2:])[1]
        self.assertEqual(auth["token"], "t")
        self.assertEqual(player.ask("0"), [])
        self.assertEqual(player.ask('21["message",1]'), ['2["message-back",1]', "31[1]"])
        self.assertEqual(len(self.root.sockets), 1)

    def test_polling(self) -> None:
        """The answer comes with the opening, as drawn (digest, section 4, 16)."""
        client = self.polling(version=3)
        body = self.ask("GET", client.query).body
        self.assertTrue(body.endswith(b'2:4044:42["auth",{"EIO":"3","transport":"polling"}]'), body)
        client.send("40/custom,")
        self.assertEqual(client.get().body, b'10:40/custom,21:42/custom,["auth",{}]')

    def test_custom(self) -> None:
        """A namespace's query is what it brings to authenticate."""
        player = self.player(3)
        answer, greeting = player.ask("0/custom?tok=1&x=%C3%A9,")
        self.assertEqual((answer, greeting), ("0/custom,", '2/custom,["auth",{"tok":"1","x":"é"}]'))
        self.assertEqual(player.ask("1/custom,"), [])
        self.assertEqual(self.custom.reasons, ["client namespace disconnect"])

    def test_refused(self) -> None:
        """A refusal is the bare data, or the bare message."""
        player = self.player(3)
        self.assertEqual(player.ask("0/custom?how=refuse,"), ['4/custom,"nope"'])
        self.assertEqual(player.ask("0/custom?how=refuse-with-data,"), ['4/custom,{"code":42}'])
        self.assertEqual(player.ask("0/random"), ['4/random,"Invalid namespace"'])

    def test_binary(self) -> None:
        """Attachments have their type before them."""
        player = self.player(3)
        player.heard()
        player.say(f'51-["message",{PLACEHOLDER % 0}]', b"\x04\x01")
        self.assertEqual(player.heard(), [f'51-["message-back",{PLACEHOLDER % 0}]', b"\x04\x01"])

    def test_faults(self) -> None:
        """A payload of CONNECT, which they don't have, ends the session as any fault does."""
        for message in ('0/custom,{"a":1}', "2[]", "abc"):
            player = self.player(3)
            player.heard()
            player.say(message)
            self.assert_ended(player)
