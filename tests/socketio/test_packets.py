"""Socket.IO packets: the documents' own texts, both ways, and what is no packet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.socketio import packets
from realtime.socketio.engine_packets import Group
from realtime.socketio.packets import (
    Assembler,
    Event,
    EventReader,
    Kind,
    Limits,
    Packet,
    PacketError,
    read_ack,
    read_connect,
)

LIMITS = Limits()
PLACEHOLDER = '{"_placeholder":true,"num":%d}'


def read(text: str, *attachments: bytes, revision: int = 5, limits: Limits = LIMITS) -> Packet:
    """The packet of a text with its attachments, which must be whole with the last."""
    assembler = Assembler(limits, revision)
    packet = assembler.add(text)
    for each in attachments:
        assert packet is None
        packet = assembler.add(each)
    assert packet is not None
    return packet


def event_of(text: str, *attachments: bytes, types: Any = (), limits: Limits = LIMITS) -> Event:
    """The event of a text; ``types`` are those of the event "say"."""
    reader = EventReader({"say": types} if types else {}, limits)
    return reader.read(read(text, *attachments, limits=limits))


def text_of(group: Group) -> str:
    """A group's text, without Engine.IO's part of it."""
    assert group.text is not None
    assert group.text[:1] == b"4"
    return group.text[1:].decode()


class HeadTests(SynchronousTestCase):
    """Packets up to their JSON."""

    def test_documented(self) -> None:
        """Heads of all kinds (digest, sections 2.1 and 4)."""
        for text, kind, namespace, ack_id, rest in (
            ("0", Kind.CONNECT, "/", None, ""),
            ('0{"token":"t"}', Kind.CONNECT, "/", None, '{"token":"t"}'),
            ("0/admin", Kind.CONNECT, "/admin", None, ""),
            ("0/admin,", Kind.CONNECT, "/admin", None, ""),
            ('0/custom,{"t":1}', Kind.CONNECT, "/custom", None, '{"t":1}'),
            ("1", Kind.DISCONNECT, "/", None, ""),
            ("1/custom,", Kind.DISCONNECT, "/custom", None, ""),
            ('2["hello"]', Kind.EVENT, "/", None, '["hello"]'),
            ('2/admin,13["foo"]', Kind.EVENT, "/admin", 13, '["foo"]'),
            ('2456["message-with-ack",1]', Kind.EVENT, "/", 456, '["message-with-ack",1]'),
            ('3456[1,"2",{"3":[false]}]', Kind.ACK, "/", 456, '[1,"2",{"3":[false]}]'),
            ('3/admin,13["bar"]', Kind.ACK, "/admin", 13, '["bar"]'),
            ('20["a"]', Kind.EVENT, "/", 0, '["a"]'),
        ):
            self.assertEqual(read(text), Packet(kind, namespace, ack_id, rest), text)

    def test_older_clients(self) -> None:
        """A 2.x client may put a query into a namespace; for others it is a part of the name."""
        packet = read("0/custom?tok=1&a=%2C,", revision=4)
        self.assertEqual((packet.namespace, packet.query), ("/custom", "tok=1&a=%2C"))
        self.assertEqual(read("0/custom?tok=1", revision=4).query, "tok=1")
        self.assertEqual(read("0/custom?tok=1,").namespace, "/custom?tok=1")

    def test_wrong(self) -> None:
        """No type, an unknown one, one that only the server sends, ids and payloads where there are none."""
        for text in (
            *("", "a", "7", "9", "٢[]", '["a"]', ' 2["a"]', "/", "-"),
            *("4", '4{"message":"x"}', "4/admin,"),
            *("01", "0/a,1", "11", "1/a,7", '1{"a":1}', "1[]", "1/a,x", "00", "0/a,7{}"),
            *("3", '3["a"]', "3/a,[]", '61-["a"]', "01-", '21-["a"]', '31-5["a"]'),
        ):
            with self.assertRaises(PacketError, msg=text):
                read(text)
        for text in ('22["a"]-', '21["a"]x-', "2" + "1" * 5000 + "-"):  # it is JSON that is wrong
            with self.assertRaises(PacketError, msg=text):
                event_of(text)
        with self.assertRaises(PacketError):
            read('0{"token":"t"}', revision=4)

    def test_long(self) -> None:
        """There are bounds to a namespace and to an acknowledgement's id."""
        self.assertEqual(read("2" + "9" * 15 + "[1]").ack_id, 10**15 - 1)
        with self.assertRaises(PacketError):
            event_of("2" + "9" * 16 + '["a"]')
        self.assertEqual(len(read("0/" + "n" * 127).namespace), 128)
        for text in ("0/" + "n" * 128, "0/?" + "n" * 128):
            for revision in (4, 5):
                with self.assertRaises(PacketError):
                    read(text, revision=revision)


class AssemblerTests(SynchronousTestCase):
    """Packets with attachments."""

    def test_documented(self) -> None:
        """A binary event, and an acknowledgement with two attachments (digest, section 4)."""
        event = event_of(f'51-["message",{PLACEHOLDER % 0}]', b"\x01\x02\x03")
        self.assertEqual(event, Event("message", (b"\x01\x02\x03",), True))
        packet = read(f"62-789[{PLACEHOLDER % 0},{PLACEHOLDER % 1}]", b"a", b"")
        self.assertEqual((packet.kind, packet.ack_id), (Kind.BINARY_ACK, 789))
        self.assertEqual(read_ack(packet, LIMITS), [b"a", b""])

    def test_deep_and_out_of_order(self) -> None:
        """Placeholders may stand anywhere, in any order, more than once or not at all."""
        tree = f'{{"a":[{PLACEHOLDER % 1},{{"b":{PLACEHOLDER % 0}}}],"c":{PLACEHOLDER % 1}}}'
        event = event_of(f'53-/n,["x",{tree}]', b"0", b"1", b"2")
        self.assertEqual(event.arguments, ({"a": [b"1", {"b": b"0"}], "c": b"1"},))

    def test_placeholders_for_nothing(self) -> None:
        """A number that is out of range, or no whole number, stands for no attachment."""
        for number in ("-1", "1", "10", "0.0", "true", '"0"', "null", "1e400", "9" * 30):
            with self.assertRaises(PacketError, msg=number):
                event_of(f'51-["x",{{"_placeholder":true,"num":{number}}}]', b"a")
        with self.assertRaises(PacketError):
            event_of('51-["x",{"_placeholder":true}]', b"a")

    def test_no_placeholders(self) -> None:
        """Only what says exactly so is one, and only where there are attachments."""
        for value in ('{"_placeholder":1,"num":0}', '{"_placeholder":"true","num":0}', '{"num":0}'):
            self.assertEqual(event_of(f'51-["x",{value}]', b"a").arguments, (json.loads(value),))
        self.assertEqual(event_of(f'2["x",{PLACEHOLDER % 0}]').arguments, (json.loads(PLACEHOLDER % 0),))

    def test_numbers(self) -> None:
        """None, too many, and no number at all."""
        for text in ('5["x"]', '50-["x"]', '511-["x"]', '5-["x"]', '5-1-["x"]', '5１-["x"]', '599999-["x"]'):
            with self.assertRaises(PacketError, msg=text):
                Assembler(LIMITS).add(text)
        self.assertIsNone(Assembler(LIMITS).add('510-["x"]'))

    def test_order(self) -> None:
        """An attachment of nothing is wrong, and so is a text where one is missing."""
        with self.assertRaises(PacketError):
            Assembler(LIMITS).add(b"\x01")
        for text in ('2["x"]', '51-["x"]', "0", ""):
            assembler = Assembler(LIMITS)
            assembler.add('52-["x"]')
            assembler.add(b"a")
            with self.assertRaises(PacketError):
                assembler.add(text)

    def test_one_after_the_other(self) -> None:
        """Nothing of a packet is left for the next."""
        assembler = Assembler(LIMITS)
        for number in range(3):
            data = b"%d" % number
            self.assertIsNone(assembler.add(f'51-["x",{PLACEHOLDER % 0}]'))
            packet = assembler.add(data)
            assert packet is not None
            self.assertEqual(packet.attachments, (data,))
            self.assertIsNotNone(assembler.add('2["y"]'))
        with self.assertRaises(PacketError):
            assembler.add(b"late")

    def test_bytes(self) -> None:
        """There is a bound to a packet with all its attachments."""
        text = f'52-["x",{PLACEHOLDER % 0}]'
        limits = Limits(total_bytes=len(text) + 10)
        self.assertEqual(read(text, b"12345", b"67890", limits=limits).attachments, (b"12345", b"67890"))
        with self.assertRaises(PacketError):
            read(text, b"12345", b"678901", limits=limits)
        with self.assertRaises(PacketError):
            Assembler(Limits(total_bytes=len(text) - 1)).add(text)


class Say(msgspec.Struct):
    """What the tests say."""

    text: str
    count: int = 1


class EventTests(SynchronousTestCase):
    """Events and their arguments."""

    def test_untyped(self) -> None:
        """What nobody has asked for is as JSON has it."""
        event = event_of('2["auth",1,"2",{"3":[false]},null]')
        self.assertEqual(event, Event("auth", (1, "2", {"3": [False]}, None), True))
        self.assertEqual(event_of("2[7,8]"), Event(7, (8,), True))

    def test_typed(self) -> None:
        """What is asked for has its type, and what stands behind it is left out."""
        for text in (
            '2["say",{"text":"hi"},5]',
            '2/n,13[ "say", {"text":"hi", "more":[]}]',
            '2["s\\u0061y",{"text":"hi"}]',
        ):
            self.assertEqual(event_of(text, types=[Say]), Event("say", (Say("hi"),), True))

    def test_unfitting(self) -> None:
        """What does not have its type is as JSON has it, and says so."""
        for text, found in (
            ('2["say",{"text":5}]', ({"text": 5},)),
            ('2["say"]', ()),
            ('2["say","x","y"]', ("x", "y")),
            ('2["say",{"text":"\\u0000","count":1.5}]', ({"text": "\0", "count": 1.5},)),
        ):
            self.assertEqual(event_of(text, types=[Say]), Event("say", found, False))

    def test_left_out(self) -> None:
        """What may be None may be left out at the end."""
        for types in ([int, Say | None], [int, Any]):
            self.assertEqual(event_of('2["say",1]', types=types), Event("say", (1, None), True))
        self.assertFalse(event_of('2["say"]', types=[int, Any]).is_fitting)
        self.assertFalse(event_of('2["say",1]', types=[int | None, int]).is_fitting)

    def test_typed_binary(self) -> None:
        """Types hold for what has attachments, too."""

        class Picture(msgspec.Struct):
            name: str
            data: bytes

        text = f'51-["say",{{"name":"x","data":{PLACEHOLDER % 0}}}]'
        self.assertEqual(event_of(text, b"\xff", types=[Picture]).arguments, (Picture("x", b"\xff"),))
        self.assertFalse(event_of(f'51-["say",{PLACEHOLDER % 0}]', b"\xff", types=[Picture]).is_fitting)

    def test_wrong(self) -> None:
        """No array, an empty one, no name, a reserved one; whether or not there is a type for it."""
        for json_text in (
            *(
                "",
                "[]",
                "{}",
                '"say"',
                "[null]",
                "[true]",
                "[1.5]",
                "[[]]",
                '[{"a":1}]',
                "[",
                '["say"',
                '["say",]',
            ),
            *(
                '["say"] x',
                '["say",NaN]',
                '["say",Infinity]',
                '["say",-Infinity]',
                '["say",1e999]',
                "1",
                "null",
            ),
            *('["say","\\ud800"]', '["say","\x01"]', "[\"say\",'a']", '["connect"]', '["disconnect",1]'),
            *('["newListener"]', '["disconnecting"]', '["connect_error"]', '["removeListener"]'),
        ):
            for types in ((), [Any], [Say]):
                with self.assertRaises(PacketError, msg=json_text):
                    event_of(f"2{json_text}", types=types)
                with self.assertRaises(PacketError, msg=json_text):
                    event_of(f"51-{json_text}", b"", types=types)

    def test_depth(self) -> None:
        """There is a bound to the depth, whatever is asked for and wherever brackets stand in strings."""
        for depth, refused in ((63, False), (64, True), (500, True), (100_000, True)):
            for begin, end in (("[", "]"), ('{"[":', "}")):
                text = f'2["say",{begin * depth}1{end * depth}]'
                for types in ((), [Any]):
                    if refused:
                        with self.assertRaises(PacketError):
                            event_of(text, types=types)
                    else:
                        self.assertTrue(event_of(text, types=types).is_fitting)
        wide = '"[[{\\"[[\\\\",' * 100 + "[[],{}]," * 100
        self.assertTrue(event_of(f'2["say",[{wide}0]]').is_fitting)

    @given(
        st.recursive(
            st.text('[]{}"\\\\a'), lambda inner: st.lists(inner) | st.dictionaries(st.text('[{"\\\\'), inner)
        ),
        st.integers(1, 4),
    )
    def test_depth_of_anything(self, tree: Any, most: int) -> None:
        """Whatever stands in its strings, JSON is as deep as it is."""

        def depth(value: Any) -> int:
            if isinstance(value, str):
                return 0
            inner = value.values() if isinstance(value, dict) else value
            return 1 + max(map(depth, inner), default=0)

        text = f'2["say",{json.dumps(tree)}]'
        if depth(tree) < most:
            self.assertEqual(event_of(text, limits=Limits(depth=most)).arguments, (tree,))
        else:
            with self.assertRaises(PacketError):
                event_of(text, limits=Limits(depth=most))

    def test_depth_of_the_others(self) -> None:
        """The bound holds for what comes with a CONNECT and in an acknowledgement."""
        deep = "[" * 64 + "]" * 64
        for depth in (64, 100_000):
            deep = "[" * depth + "]" * depth
            with self.assertRaises(PacketError):
                read_connect(read(f'0{{"a":{deep}}}'), LIMITS)
            with self.assertRaises(PacketError):
                read_ack(read(f"31[{deep}]"), LIMITS)


class PayloadTests(SynchronousTestCase):
    """What comes with a CONNECT and in an acknowledgement."""

    def test_connect(self) -> None:
        """An object, or nothing."""
        self.assertIsNone(read_connect(read("0/n,"), LIMITS))
        self.assertEqual(read_connect(read('0{"token":"t"}'), LIMITS), {"token": "t"})
        for wrong in ("[]", '"x"', "null", "{", "{}x"):
            with self.assertRaises(PacketError, msg=wrong):
                read_connect(read(f"0{wrong}"), LIMITS)

    def test_ack(self) -> None:
        """An array."""
        self.assertEqual(read_ack(read("35[]"), LIMITS), [])
        for wrong in ("", "{}", '"x"', "null", "[", "[]x"):
            with self.assertRaises(PacketError, msg=wrong):
                read_ack(read(f"35{wrong}"), LIMITS)


class WritingTests(SynchronousTestCase):
    """What the server sends."""

    def test_documented(self) -> None:
        """As drawn (digest, section 4)."""
        for group, expected in (
            (packets.connect("/", {"sid": "IQvPBMP3hSnZKT2mAAAN"}), '0{"sid":"IQvPBMP3hSnZKT2mAAAN"}'),
            (packets.connect("/custom", {"sid": "QYV-"}), '0/custom,{"sid":"QYV-"}'),
            (packets.connect("/", None), "0"),
            (packets.connect("/custom", None), "0/custom,"),
            (packets.connect_error("/nope", "Invalid namespace"), '4/nope,{"message":"Invalid namespace"}'),
            (
                packets.connect_error("/secret", "nope", {"code": 42}),
                '4/secret,{"message":"nope","data":{"code":42}}',
            ),
            (packets.connect_error_4("/secret", "nope", {"code": 42}), '4/secret,{"code":42}'),
            (packets.connect_error_4("/secret", "nope"), '4/secret,"nope"'),
            (packets.event("auth", [{"token": "t"}]), '2["auth",{"token":"t"}]'),
            (packets.event("hello"), '2["hello"]'),
            (packets.event("foo", namespace="/admin", ack_id=13), '2/admin,13["foo"]'),
            (packets.ack([1, "2", {"3": [False]}], 456), '3456[1,"2",{"3":[false]}]'),
            (packets.ack(["bar"], 13, namespace="/admin"), '3/admin,13["bar"]'),
            (packets.disconnect("/"), "1"),
            (packets.disconnect("/custom"), "1/custom,"),
        ):
            self.assertEqual(text_of(group), expected)
            self.assertEqual(group.binary, ())

    def test_binary(self) -> None:
        """Bytes become attachments, in order, wherever they stand."""
        group = packets.event("message", [b"\x01\x02\x03"])
        self.assertEqual(text_of(group), f'51-["message",{PLACEHOLDER % 0}]')
        self.assertEqual(group.binary, (b"\x01\x02\x03",))
        group = packets.ack([b"a", {"x": [bytearray(b"b"), memoryview(b"c")]}], 789, namespace="/n")
        self.assertEqual(
            text_of(group), f'63-/n,789[{PLACEHOLDER % 0},{{"x":[{PLACEHOLDER % 1},{PLACEHOLDER % 2}]}}]'
        )
        self.assertEqual(group.binary, (b"a", b"b", b"c"))

    def test_structures(self) -> None:
        """Structures are written by their fields, and so are bytes in them."""

        @dataclass
        class Inner:
            data: bytes

        class Outer(msgspec.Struct, rename="camel"):
            some_text: str
            inner: Any

        self.assertEqual(text_of(packets.event("x", [Outer("a", 1)])), '2["x",{"someText":"a","inner":1}]')
        group = packets.event("x", [Outer("a", Inner(b"b"))])
        self.assertEqual(text_of(group), f'51-["x",{{"someText":"a","inner":{{"data":{PLACEHOLDER % 0}}}}}]')
        self.assertEqual(group.binary, (b"b",))

    def test_text(self) -> None:
        """JSON is compact and in UTF-8; what is written already goes out as it is."""
        group = packets.event("é", ["Привет\u2028", {"a": 1}, msgspec.Raw(b'{"b":[2]}')])
        self.assertEqual(text_of(group), '2["é","Привет\u2028",{"a":1},{"b":[2]}]')

    def test_unwritable(self) -> None:
        """Numbers that JSON does not know, halves of characters, endless depth and reserved names."""
        endless: list[Any] = []
        endless.append(endless)
        for value in (float("nan"), {"a": [float("inf")]}, Say("x", -float("inf")), "\ud800", endless):  # type: ignore[arg-type]
            with self.assertRaises(ValueError):
                packets.event("x", [value])
            with self.assertRaises(ValueError):
                packets.event("x", [value, b"binary"])
        with self.assertRaises(TypeError):
            packets.event("x", [object()])
        with self.assertRaises(ValueError):
            packets.event("disconnect")


TREES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)


class PropertyTests(SynchronousTestCase):
    """Whatever is sent arrives, and whatever arrives does no harm."""

    @given(
        name=st.text('abcé"\\\n[,', min_size=1),
        arguments=st.lists(TREES, max_size=4),
        namespace=st.sampled_from(["/", "/admin", "/é"]),
        ack_id=st.none() | st.integers(0, 10**15 - 1),
    )
    def test_round_trip(self, name: str, arguments: list[Any], namespace: str, ack_id: int | None) -> None:
        """What is written is read back."""
        group = packets.event(name, arguments, namespace=namespace, ack_id=ack_id)
        packet = read(text_of(group), *group.binary, limits=Limits(attachments=100))
        self.assertEqual((packet.namespace, packet.ack_id), (namespace, ack_id))
        event = EventReader({}, LIMITS).read(packet)
        self.assertEqual(event, Event(name, tuple(arguments), True))
        if ack_id is not None:
            group = packets.ack(arguments, ack_id, namespace=namespace)
            packet = read(text_of(group), *group.binary, limits=Limits(attachments=100))
            self.assertEqual((packet.namespace, packet.ack_id), (namespace, ack_id))
            self.assertEqual(read_ack(packet, LIMITS), arguments)

    @given(
        st.text()
        | st.from_regex(r"\A[0-6]([0-9]-)?(/[a-z?]*,?)?[0-9]*[\[{].*", fullmatch=True)
        | st.text('0123456-/,?[]{}"ab: \\e.'),
        st.sampled_from([4, 5]),
    )
    def test_garbage(self, text: str, revision: int) -> None:
        """It is read, or refused with the one error."""
        assembler = Assembler(LIMITS, revision)
        reader = EventReader({"a": [int]}, LIMITS)
        try:
            packet = assembler.add(text)
            while packet is None:
                packet = assembler.add(b"x")
            {
                Kind.CONNECT: lambda: read_connect(packet, LIMITS),
                Kind.DISCONNECT: lambda: None,
                Kind.ACK: lambda: read_ack(packet, LIMITS),
                Kind.BINARY_ACK: lambda: read_ack(packet, LIMITS),
            }.get(packet.kind, lambda: reader.read(packet))()
        except PacketError:
            pass
