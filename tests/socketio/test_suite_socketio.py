"""The cases of the official Socket.IO 5 suite that are Socket.IO's own, over polling and over a WebSocket.

Those of Engine.IO in it are in ``test_polling``, ``test_websocket`` and ``test_upgrade``. Where that suite is
content with a connection that is closed in the end, here it must be closed at once.
"""

from __future__ import annotations

import json
from typing import Any

from realtime.socketio import engine_packets
from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_packets import Form, Group
from tests.socketio.namespaces import Player, ServerTestCase
from tests.socketio.world import Client, is_waiting
from tests.web.requests import Response

FIRST, SECOND = '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}'


class PollingPlayer:
    """A client that polls and speaks Socket.IO by hand."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.status = 200

    def say(self, *messages: str | bytes) -> None:
        """Send packets in one request; whether they were taken is in ``status``."""
        groups = [
            Group(b"4" + message.encode()) if isinstance(message, str) else Group(None, (message,))
            for message in messages
        ]
        self.status = self.client.post(engine_packets.payload(groups, Form.POLLING_4)).status

    def heard(self) -> list[str | bytes]:
        """What has come since this was last asked; nothing but messages."""
        request = self.client.poll()
        if is_waiting(request):
            self.client.session.send(engine_packets.NOOP)
            self.client.test.clock.advance(0)
        read = engine_packets.read_payload(Response(request.wire.value()).body, 4)
        return [packet.data for packet in read if packet.type is not engine_packets.PacketType.NOOP]

    def ask(self, *messages: str | bytes) -> list[str | bytes]:
        """Send packets; what comes."""
        self.say(*messages)
        return self.heard()


class _Cases(ServerTestCase):
    """The cases; each transport has its own way to open a client, and to see that it is closed."""

    connect_timeout = 1.0

    def open(self) -> Any:
        """A client with a session."""
        raise NotImplementedError

    def assert_closed_at_once(self, player: Any) -> None:
        """The connection was closed, without time having passed."""
        raise NotImplementedError

    def joined(self) -> Any:
        """A client in the namespace ``/`` that has read its welcome."""
        player = self.open()
        answer, welcome = player.ask("0")
        self.assertEqual((answer[:8], welcome), ('0{"sid":', '2["auth",{}]'))
        return player

    # -- connect -------------------------------------------------------------------------------

    def test_connect_to_the_main_namespace(self) -> None:
        """Without and with a payload: an answer with an id alone, then what the handler says."""
        for packet, auth in (("0", "{}"), ('0{"token":"123"}', '{"token":"123"}')):
            answer, welcome = self.open().ask(packet)
            payload = json.loads(answer[1:])
            self.assertEqual(list(payload), ["sid"])
            self.assertNotEqual(payload["sid"], self.application.sessions[-1].sid)
            self.assertEqual(welcome, f'2["auth",{auth}]')

    def test_connect_to_a_custom_namespace(self) -> None:
        """The same for another namespace."""
        for packet, auth in (("0/custom,", "{}"), ('0/custom,{"token":"abc"}', '{"token":"abc"}')):
            answer, welcome = self.open().ask(packet)
            self.assertEqual(list(json.loads(answer.removeprefix("0/custom,"))), ["sid"])
            self.assertEqual(welcome, f'2/custom,["auth",{auth}]')

    def test_unknown_namespace(self) -> None:
        """It is refused, and the connection is there for others."""
        player = self.open()
        self.assertEqual(player.ask("0/random"), ['4/random,{"message":"Invalid namespace"}'])
        self.assertEqual(len(player.ask("0")), 2)

    def test_no_handshake(self) -> None:
        """Who joins no namespace in time is closed."""
        self.open()
        self.clock.advance(0.9)
        self.assertEqual(self.application.reasons, [])
        self.clock.advance(0.1)
        self.assertEqual(self.application.reasons, [Reason.FORCED_CLOSE])

    def test_joined_twice(self) -> None:
        """A second CONNECT for the same namespace."""
        player = self.joined()
        player.say("0")
        self.assert_closed_at_once(player)

    def test_events_before_connect(self) -> None:
        """What comes for a namespace that is not joined."""
        for packet in ('2["message","early"]', '2/custom,["message","early"]', "1", "31[]"):
            player = self.open()
            player.say(packet)
            self.assert_closed_at_once(player)
        self.assertEqual(self.root.got, [])

    # -- disconnect ----------------------------------------------------------------------------

    def test_disconnect_from_the_main_namespace(self) -> None:
        """The other namespace goes on."""
        player = self.joined()
        player.ask("0/custom")
        player.say("1", '2/custom,["message","still here"]')
        self.assertEqual(player.heard(), ['2/custom,["message-back","still here"]'])
        self.assertEqual(self.root.reasons, ["client namespace disconnect"])

    def test_disconnect_from_a_custom_namespace(self) -> None:
        """The main one goes on."""
        player = self.joined()
        player.ask("0/custom")
        player.say("1/custom,", '2["message","still here"]')
        self.assertEqual(player.heard(), ['2["message-back","still here"]'])
        self.assertEqual(self.custom.reasons, ["client namespace disconnect"])

    # -- message -------------------------------------------------------------------------------

    def test_plain_text(self) -> None:
        """An event comes back as it went."""
        self.assertEqual(
            self.joined().ask('2["message",1,"2",{"3":[true]}]'), ['2["message-back",1,"2",{"3":[true]}]']
        )

    def test_binary(self) -> None:
        """With one attachment, and with several, empty ones too."""
        player = self.joined()
        self.assertEqual(
            player.ask(f'51-["message",{FIRST}]', b"\x01\x02\x03"),
            [f'51-["message-back",{FIRST}]', b"\x01\x02\x03"],
        )
        self.assertEqual(
            player.ask(f'52-["message",{{"a":[{FIRST}]}},{SECOND}]', b"\x01", b""),
            [f'52-["message-back",{{"a":[{FIRST}]}},{SECOND}]', b"\x01", b""],
        )

    def test_acknowledged(self) -> None:
        """An event that asks for an acknowledgement, plain and binary."""
        player = self.joined()
        self.assertEqual(
            player.ask('2456["message-with-ack",1,"2",{"3":[false]}]'), ['3456[1,"2",{"3":[false]}]']
        )
        self.assertEqual(
            player.ask(f'52-789["message-with-ack",{FIRST},{SECOND}]', b"\x01\x02\x03", b"\x04\x05\x06"),
            [f"62-789[{FIRST},{SECOND}]", b"\x01\x02\x03", b"\x04\x05\x06"],
        )

    # -- what breaks the rules -----------------------------------------------------------------

    def test_malformed(self) -> None:
        """Types, payloads, ids, attachments and placeholders that can't be."""
        for messages in (
            *(("abc",), ("7",), ("",), ('4{"message":"no"}',)),
            *(("2",), ("2{}",), ("2[]",), ('2["x"',), ("2[{}]",), ('2["connect"]',)),
            *(("3[1]",), ("31{}",), ("3a[]",)),
            *((b"\x01",), ('51-["message"]', '2["message"]'), (f'51-["message",{SECOND}]', b"\x01")),
            *(('511-["message"]',), ('50-["message"]',)),
        ):
            player = self.joined()
            player.say(*messages)
            self.assert_closed_at_once(player)
        self.assertEqual(self.root.got, [])


class WebSocketTests(_Cases):
    """Over a WebSocket."""

    def open(self) -> Player:
        """A client whose WebSocket is open."""
        return self.player()

    def assert_closed_at_once(self, player: Player) -> None:
        """The WebSocket is closing."""
        self.assertEqual(self.application.reasons[-1], Reason.PARSE_ERROR)
        self.clock.advance(0)
        self.assertEqual(player.peer.frames()[-1].opcode, 8)


class PollingTests(_Cases):
    """Over polling."""

    def open(self) -> PollingPlayer:
        """A client that has a session."""
        return PollingPlayer(self.polling())

    def assert_closed_at_once(self, player: PollingPlayer) -> None:
        """The next request finds no session."""
        self.assertEqual(self.application.reasons[-1], Reason.PARSE_ERROR)
        self.assertEqual(player.client.get().status, 400)


class UpgradeTests(ServerTestCase):
    """Both, one after the other."""

    def test_in_the_middle(self) -> None:
        """A client that joined while it polled goes on over the WebSocket; nothing is lost."""
        client = self.polling()
        player = PollingPlayer(client)
        player.ask("0")
        socket = self.root.sockets[0]
        for number in range(3):
            socket.emit("told", number)
        peer = client.probe()
        socket.emit("told", 3)
        peer.text(b"5")
        socket.emit("told", 4, b"\x01")
        later = Player(self, peer)
        self.assertEqual(
            later.heard(),
            [*(f'2["told",{number}]' for number in range(4)), f'51-["told",4,{FIRST}]', b"\x01"],
        )
        self.assertEqual(later.ask('21["message",1]'), ['2["message-back",1]', "31[1]"])


del _Cases  # what is collected has a transport
