"""Engine.IO packets: the documents' own bytes, both ways, and what is no packet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.socketio import engine_packets
from realtime.socketio.engine_packets import (
    MOST_PACKETS,
    EngineError,
    Form,
    Group,
    Packet,
    PacketType,
    message,
    payload,
    read_binary,
    read_payload,
    read_text,
)
from tests.websocket.peers import BINARY, TEXT, Frame, server_frames

MESSAGE = PacketType.MESSAGE
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.one_of(TEXTS, st.binary())


def read(body: bytes, revision: int = 4, *, binary: bool = False) -> list[Packet]:
    """The packets of a payload."""
    return list(read_payload(body, revision, binary=binary))


class ReadingTests(SynchronousTestCase):
    """Packets of WebSockets."""

    def test_types(self) -> None:
        """A digit is a type, and the rest is its data."""
        for digit, kind in zip("0123456", PacketType, strict=True):
            self.assertEqual(read_text(f"{digit}some data"), (kind, "some data"))
            self.assertEqual(read_text(digit), (kind, ""))

    def test_no_types(self) -> None:
        """Nothing else is: no other digit, of whatever script, and not nothing."""
        for packet in ("", "7", "9", "a4", " 4", "-1", "٤x", "４x", "²", "\x04", "b"):
            with self.assertRaises(EngineError):
                read_text(packet)

    def test_binary(self) -> None:
        """A binary message is a message; in revision 3 its type stands before it."""
        self.assertEqual(read_binary(b"\x01\x02", 4), (MESSAGE, b"\x01\x02"))
        self.assertEqual(read_binary(b"", 4), (MESSAGE, b""))
        self.assertEqual(read_binary(b"\x04\x01\x02", 3), (MESSAGE, b"\x01\x02"))
        for wrong in (b"", b"\x03\x01", b"4\x01"):
            with self.assertRaises(EngineError):
                read_binary(wrong, 3)


class PollingTests(SynchronousTestCase):
    """Payloads of revision 4."""

    def test_documented(self) -> None:
        """A binary event, an authentication and a probe, as drawn (digest, section 4)."""
        event = b'451-["message",{"_placeholder":true,"num":0}]'
        self.assertEqual(
            read(event + b"\x1ebAQID"), [(MESSAGE, event[1:].decode()), (MESSAGE, b"\x01\x02\x03")]
        )
        self.assertEqual(payload([Group(event, (b"\x01\x02\x03",))], Form.POLLING_4), event + b"\x1ebAQID")
        self.assertEqual(
            payload([Group(b'40{"sid":"a"}'), Group(b'42["auth",{}]')], Form.POLLING_4),
            b'40{"sid":"a"}\x1e42["auth",{}]',
        )
        self.assertEqual(read(b"2\x1e3probe"), [(PacketType.PING, ""), (PacketType.PONG, "probe")])

    def test_wrong(self) -> None:
        """Empty packets, unknown types, wrong base64 and what is not UTF-8."""
        for body in (
            *(b"", b"\x1e", b"4a\x1e", b"\x1e4a", b"4a\x1e\x1e4b", b"abc", b"7"),
            *(b"bAQ", b"bAQI", b"bAQID=", b"b AQID", b"bAQ-_", b"bAQID\n", "bé".encode()),
            *(b"4\xff", b"4\xed\xa0\x80"),
        ):
            with self.assertRaises(EngineError, msg=body):
                read(body)

    def test_before_a_wrong_one(self) -> None:
        """What stands before a wrong packet has come; what stands behind it has not."""
        packets = read_payload(b"4one\x1e9\x1e4two", 4)
        self.assertEqual(next(packets), (MESSAGE, "one"))
        with self.assertRaises(EngineError):
            next(packets)

    def test_too_many(self) -> None:
        """There is a bound to the packets of a payload."""
        self.assertEqual(len(read(b"\x1e".join([b"4"] * MOST_PACKETS))), MOST_PACKETS)
        with self.assertRaises(EngineError):
            read(b"\x1e".join([b"4"] * (MOST_PACKETS + 1)))


class OldPollingTests(SynchronousTestCase):
    """Payloads of revision 3."""

    def test_documented(self) -> None:
        """Three packets, two of base64, and a binary payload, as drawn (digest, section 4)."""
        body = b'2:4013:42["auth",{}]10:40/custom,'
        groups = [Group(b"40"), Group(b'42["auth",{}]'), Group(b"40/custom,")]
        self.assertEqual(read(body, 3), [(MESSAGE, "0"), (MESSAGE, '2["auth",{}]'), (MESSAGE, "0/custom,")])
        self.assertEqual(payload(groups, Form.POLLING_3), body)
        for body, data in ((b"6:b4AQI=", b"\x01\x02"), (b"10:b4AQIDBA==", b"\x01\x02\x03\x04")):
            self.assertEqual(read(body, 3), [(MESSAGE, data)])
            self.assertEqual(payload([message(data)], Form.POLLING_3), body)
        body = bytes.fromhex("00 06 FF 34 68 65 6C 6C 6F 01 05 FF 04 01 02 03 04")
        self.assertEqual(read(body, 3, binary=True), [(MESSAGE, "hello"), (MESSAGE, b"\x01\x02\x03\x04")])
        groups = [message("hello"), message(b"\x01\x02\x03\x04")]
        self.assertEqual(payload(groups, Form.POLLING_3_BINARY), body)

    def test_lengths(self) -> None:
        """A length counts UTF-16 units; in a binary payload, bytes."""
        for text, units, size in (("é", 1, 2), ("€", 1, 3), ("😀", 2, 4), ("a😀é", 4, 7)):
            body = f"{units + 1}:4{text}1:6".encode()
            self.assertEqual(read(body, 3), [(MESSAGE, text), (PacketType.NOOP, "")])
            self.assertEqual(payload([message(text), engine_packets.NOOP], Form.POLLING_3), body)
            binary = bytes([0, size + 1, 255]) + f"4{text}".encode()
            self.assertEqual(read(binary, 3, binary=True), [(MESSAGE, text)])
            self.assertEqual(payload([message(text)], Form.POLLING_3_BINARY), binary)

    def test_lengths_of_several_digits(self) -> None:
        """A binary payload writes a length as one byte for each digit."""
        body = b"\x00\x01\x02\x06\xff4" + b"x" * 125
        self.assertEqual(payload([message("x" * 125)], Form.POLLING_3_BINARY), body)
        self.assertEqual(read(body, 3, binary=True), [(MESSAGE, "x" * 125)])

    def test_wrong(self) -> None:
        """Lengths that are none, too long or too short; a cut through a character; wrong packets."""
        for body in (
            *(b"", b"4", b"4hello", b":4", b"-1:4", b"+1:4", b" 1:4", b"1 :4", b"x:4", b"1.0:4", b"0:"),
            *(b"3:4a", b"2:4ab", b"1:9", b"12345678901:4", "٢:4a".encode(), "2:4😀".encode()),
            *(b"3:bAQ", b"4:b3AQ", b"5:b4AQ=", b"2:4\xff", b"1" * 5000 + b":4", b"9" * 10 + b":4"),
        ):
            with self.assertRaises(EngineError, msg=body):
                read(body, 3)
        for body in (
            *(b"", b"\x00", b"\x00\x01", b"\x00\xff", b"\x00\x01\xff", b"\x02\x01\xff4", b"\x00\x0a\xff4"),
            *(b"\x00\x02\xff4", b"\x00\x01\xff9", b"\x01\x02\xff\x03a", b"\x01\x01\xff4", b"\x00\x02\xff4\xff"),
            *(b"\x00" + b"\x01" * 20 + b"\xff4", b"\x00\x30\xff4"),
        ):
            with self.assertRaises(EngineError, msg=body):
                read(body, 3, binary=True)


class WritingTests(SynchronousTestCase):
    """Groups of packets on their way out."""

    def frames(self, group: Group, form: Form) -> list[Frame]:
        """The frames of a group."""
        frames, rest = server_frames(group.written(form))
        self.assertEqual(rest, b"")
        return frames

    def test_websocket(self) -> None:
        """A text frame and the binary frames behind it, whose type is written in revision 3."""
        group = Group(b"452-[]", (b"\x01", b""))
        self.assertEqual(
            self.frames(group, Form.WEBSOCKET_4),
            [Frame(TEXT, b"452-[]"), Frame(BINARY, b"\x01"), Frame(BINARY, b"")],
        )
        self.assertEqual(
            self.frames(group, Form.WEBSOCKET_3),
            [Frame(TEXT, b"452-[]"), Frame(BINARY, b"\x04\x01"), Frame(BINARY, b"\x04")],
        )
        self.assertEqual(self.frames(message(b"\x07"), Form.WEBSOCKET_4), [Frame(BINARY, b"\x07")])
        self.assertEqual(group.size, 7)

    def test_once(self) -> None:
        """However many get it, it is written once for each form."""
        group = message("hello")
        for form in Form:
            self.assertIs(group.written(form), group.written(form))

    def test_pong(self) -> None:
        """It gives back what the ping held."""
        self.assertEqual(engine_packets.pong("").text, b"3")
        self.assertEqual(engine_packets.pong("probe").text, b"3probe")


class PropertyTests(SynchronousTestCase):
    """Whatever is sent arrives, and whatever arrives does no harm."""

    @given(st.lists(TEXTS.filter(lambda text: "\x1e" not in text) | st.binary(), min_size=1))
    def test_round_trip(self, data: list[str | bytes]) -> None:
        """What is written in a form is read back from it; 0x1E is no part of JSON."""
        groups = [message(each) for each in data]
        expected = [(MESSAGE, each) for each in data]
        self.assertEqual(read(payload(groups, Form.POLLING_4)), expected)
        self.assertEqual(read(payload(groups, Form.POLLING_3), 3), expected)
        self.assertEqual(read(payload(groups, Form.POLLING_3_BINARY), 3, binary=True), expected)

    @given(st.binary() | TEXTS.map(str.encode) | st.text("0123456789:b=é😀\x1e\x04").map(str.encode))
    def test_garbage(self, body: bytes) -> None:
        """It is read, or refused with the one error."""
        for revision, binary in ((4, False), (3, False), (3, True)):
            try:
                packets = read(body, revision, binary=binary)
            except EngineError:
                continue
            self.assertTrue(packets)
