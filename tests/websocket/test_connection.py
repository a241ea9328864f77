"""An open connection: messages, limits, time, and every way in which it can end."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost

from realtime.closing import CloseCode
from realtime.websocket import frames
from tests.logged import Logged
from tests.websocket.connections import ConnectionTestCase
from tests.websocket.peers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    Peer,
    client_frame,
    close_frame,
    handshake_request,
)


class MessageTests(ConnectionTestCase):
    """Messages in both directions."""

    def test_received(self) -> None:
        """Whole messages reach the protocol, with their kind."""
        peer = self.open()
        peer.text("héllo".encode())
        peer.write(client_frame(BINARY, b"\xff\x00"))
        peer.text(b"")
        self.assertEqual(
            self.told(peer), ["opened", ("héllo".encode(), False), (b"\xff\x00", True), (b"", False)]
        )

    def test_fragments(self) -> None:
        """A message in parts, with control frames between them, is one message."""
        peer = self.open()
        peer.write(
            client_frame(TEXT, b"one ", final=False)
            + client_frame(PING, b"?")
            + client_frame(CONTINUATION, b"", final=False)
            + client_frame(CONTINUATION, b"two")
        )
        self.assertEqual(self.told(peer), ["opened", (b"one two", False)])
        self.assertEqual(peer.frames(), [Frame(PONG, b"?")])

    def test_sent(self) -> None:
        """What a protocol sends in one turn arrives in order, in one write."""
        peer = self.open()
        writes = peer.wire.writes
        peer.connection.send(b"one")
        peer.connection.send_frame(frames.binary(b"two"))
        peer.connection.send(b"three")
        self.assertEqual(peer.wire.value(), b"")
        self.clock.advance(0)
        self.assertEqual(peer.frames(), [Frame(TEXT, b"one"), Frame(BINARY, b"two"), Frame(TEXT, b"three")])
        self.assertEqual(peer.wire.writes, writes + 1)

    def test_sent_with_the_answer_to_the_handshake(self) -> None:
        """What is sent as soon as the connection is open comes right behind the answer."""
        peer = self.peer()
        peer.write(handshake_request() + client_frame(TEXT, b"say hello"))
        self.assertEqual(peer.wire.writes, 1)
        peer.read_response()
        self.assertEqual(peer.texts(), [b"hello"])

    def test_larger_than_the_limit_for_receiving(self) -> None:
        """What is sent may be larger than what may be received."""
        peer = self.open()
        peer.connection.send(b"x" * 100_000)
        self.clock.advance(0)
        self.assertEqual(peer.texts(), [b"x" * 100_000])

    def test_pings_are_answered(self) -> None:
        """A ping is answered with its payload."""
        peer = self.open()
        peer.write(client_frame(PING, b"are you there") + client_frame(PING))
        self.assertEqual(peer.frames(), [Frame(PONG, b"are you there"), Frame(PONG, b"")])

    def test_counted(self) -> None:
        """Connections and messages are counted."""
        peer = self.open()
        peer.text(b"say hello")
        peer.text(b"x")
        for name, value in (
            *(("connections", 1), ("connections_opened_total", 1)),
            *(("messages_received_total", 2), ("messages_sent_total", 1)),
        ):
            self.assertEqual(self.sample(f"realtime_{name}", protocol="support"), value, name)

    @given(
        cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=12),
        split_all=st.booleans(),
    )
    def test_split_anywhere(self, cuts: list[int], split_all: bool) -> None:
        """However the same bytes are cut into pieces, the same comes of them."""
        self.configure()
        data = (
            handshake_request("/support", ["Origin: http://a"])
            + client_frame(TEXT, "say höi".encode())
            + client_frame(BINARY, bytes(range(200)), final=False)
            + client_frame(PING, b"!")
            + client_frame(CONTINUATION, b"end")
            + client_frame(TEXT, b"say bye")
            + close_frame(4000, "tschüß".encode())
        )
        places = range(len(data) + 1) if split_all else sorted({0, *cuts, len(data)})
        peer = self.peer()
        for start, stop in pairwise(places):
            peer.write(data[start:stop])
        peer.read_response()
        self.assertEqual(
            self.told(peer),
            [
                *("opened", ("say höi".encode(), False), (bytes(range(200)) + b"end", True)),
                *((b"say bye", False), "ended"),
            ],
        )
        self.assertEqual(
            [frame.payload for frame in peer.frames()],
            ["höi".encode(), b"!", b"bye", (1000).to_bytes(2, "big")],
        )
        self.tearDown()


class SizeTests(ConnectionTestCase):
    """Messages that are too big: 1009."""

    def test_just_not(self) -> None:
        """A message of exactly the limit passes, in one frame or several."""
        peer = self.open()
        peer.text(b"x" * 1000)
        peer.write(client_frame(TEXT, b"x" * 600, final=False) + client_frame(CONTINUATION, b"x" * 400))
        self.assertEqual(self.told(peer), ["opened"] + [(b"x" * 1000, False)] * 2)

    def test_one_frame(self) -> None:
        """One byte more is refused at the frame's head, before its body was read."""
        peer = self.open()
        peer.write(client_frame(TEXT, b"x" * 1001)[:8])
        self.assert_closed(peer, 1009)
        self.assertEqual(self.refusals("size"), 1)

    def test_in_fragments(self) -> None:
        """Parts that are too much together are refused as well."""
        peer = self.open()
        peer.write(client_frame(TEXT, b"x" * 600, final=False))
        peer.write(client_frame(CONTINUATION, b"x" * 401, final=False))
        self.assert_closed(peer, 1009)
        self.assertEqual(self.told(peer), ["opened", "ended"])

    def test_a_size_beyond_belief(self) -> None:
        """A frame that claims to be exabytes long takes no memory."""
        peer = self.open()
        peer.write(b"\x82\xff" + (2**62).to_bytes(8, "big") + b"mask" + b"x" * 100)
        self.assert_closed(peer, 1009)
        for _ in range(100):
            peer.write(bytes(10_000))
        self.assertLess(len(repr(vars(peer.connection))), 20_000)

    def test_the_rest_of_it(self) -> None:
        """The rest of a message that was refused is passed over, and the closing ends properly."""
        peer = self.open()
        peer.write(client_frame(TEXT, b"x" * 5000) + close_frame(1009))
        self.assert_closed(peer, 1009)
        self.assertTrue(peer.wire.gone)
        self.assertFalse(peer.wire.aborted)


class RateTests(ConnectionTestCase):
    """More than the rate allows."""

    def test_messages(self) -> None:
        """A burst of twice the rate passes; one more is too much: 4429."""
        peer = self.open()
        peer.write(client_frame(TEXT, b"x") * 100)
        self.assertEqual(peer.frames(), [])
        peer.text(b"y")
        self.assertEqual(self.told(peer)[-2:], [("exceeded", b"y"), "ended"])
        self.assert_closed(peer, 4429)
        self.assertEqual(self.refusals("rate"), 1)

    def test_steady(self) -> None:
        """Who keeps to the rate may go on for ever."""
        peer = self.open()
        peer.text(b"user 1")
        for _ in range(1000):
            self.clock.advance(1 / 50)
            peer.text(b"x")
        self.assertEqual(len(self.told(peer)), 1002)
        self.assertEqual(self.refusals("rate"), 0)

    def test_a_protocol_with_an_answer(self) -> None:
        """A protocol that answers instead stays open, and each message beyond the rate is told as one."""
        self.factory.patient = True
        peer = self.open()
        peer.write(client_frame(TEXT, b"x") * 105)
        self.assertEqual(self.told(peer)[-5:], [("exceeded", b"x")] * 5)
        self.clock.advance(1)
        peer.text(b"y")
        self.assertEqual(self.told(peer)[-1], (b"y", False))

    def test_pings(self) -> None:
        """A flood of pings is too much, too, and is not answered beyond the rate."""
        peer = self.open()
        peer.write(client_frame(PING, b"x") * 500)
        before = self.assert_closed(peer, 4429)
        self.assertEqual(before, [Frame(PONG, b"x")] * 100)

    def test_pongs_that_nobody_asked_for(self) -> None:
        """So is a flood of pongs."""
        peer = self.open()
        peer.write(client_frame(PONG) * 500)
        self.assertEqual(self.assert_closed(peer, 4429), [])

    def test_crumbs(self) -> None:
        """A message in crumbs without end is too much, too, and takes no memory."""
        for crumb in (b"", b"x"):
            self.configure()
            peer = self.open()
            peer.write(client_frame(TEXT, crumb, final=False))
            peer.write(client_frame(CONTINUATION, crumb, final=False) * 500)
            self.assert_closed(peer, 4429)
            self.tearDown()

    def test_large_parts_are_no_crumbs(self) -> None:
        """A large message may come in as many parts as it likes, if they are not small."""
        self.configure(message_bytes=1_000_000)
        peer = self.open()
        peer.write(client_frame(BINARY, bytes(1024), final=False))
        part = client_frame(CONTINUATION, bytes(1024), final=False)
        for _ in range(500):
            peer.write(part)
        peer.write(client_frame(CONTINUATION, b"end"))
        self.assertEqual(len(self.told(peer)), 2)


class UserTests(ConnectionTestCase):
    """Whose connection it is."""

    def test_unauthenticated(self) -> None:
        """Who does not say who it is in time is closed with 4401."""
        peer = self.open()
        self.clock.advance(39.9)
        peer.write(client_frame(PONG))
        self.clock.advance(0.2)
        self.clock.advance(0)
        self.assertEqual(self.assert_closed(peer, 4401)[1:], [])
        self.assertEqual(self.refusals("unauthenticated"), 1)

    def test_identified(self) -> None:
        """Who did may stay."""
        peer = self.open()
        peer.text(b"user 7")
        for _ in range(100):
            self.clock.advance(10)
            peer.write(client_frame(PONG))
        self.assertEqual(self.told(peer), ["opened", (b"user 7", False)])

    def test_user_limit(self) -> None:
        """One connection more than a user may have is closed with 4429, the others stay."""
        self.configure(per_user=2)
        first, second, third = self.open(), self.open(), self.open(address="192.0.2.9")
        for peer in (first, second, third):
            peer.text(b"user 7")
        self.assert_closed(third, 4429)
        self.assertEqual(self.refusals("connections"), 1)
        self.assertEqual(first.frames() + second.frames(), [])
        other = self.open()
        other.text(b"user 8")
        first.go()
        fourth = self.open()
        fourth.text(b"user 7")
        self.assertEqual(fourth.frames(), [])

    def test_identified_twice(self) -> None:
        """Who says it again takes no second place."""
        self.configure(per_user=1)
        peer = self.open()
        peer.text(b"user 7")
        peer.text(b"user 7")
        self.assertEqual(peer.frames(), [])

    def test_closing_makes_room(self) -> None:
        """A connection that is over makes room for its user's next one, though its peer may never close."""
        self.configure(per_user=1)
        older = self.open()
        older.text(b"user 7")
        older.connection.close(CloseCode.REPLACED)
        newer = self.open()
        newer.text(b"user 7")
        self.assertEqual(newer.frames(), [])

    def test_identified_too_late(self) -> None:
        """A connection that is over is nobody's any more."""
        self.configure(per_user=1)
        peer = self.open()
        peer.connection.close(CloseCode.DONE)
        self.assertFalse(peer.connection.identify(7))
        other = self.open()
        self.assertTrue(other.connection.identify(7))


class JudgingTests(ConnectionTestCase):
    """A handshake that waits for what its protocol asks."""

    def wait(self, behind: bytes = b"") -> tuple[Peer, Deferred[int]]:
        """A client whose handshake waits for a status, with what it sent right behind it."""
        peer = self.peer()
        peer.write(handshake_request("/waits") + behind)
        self.assertEqual(peer.wire.value(), b"")
        return peer, self.factory.judging[-1]

    def test_accepted(self) -> None:
        """What came before the answer, behind the request and after it, is taken in order."""
        peer, judging = self.wait(client_frame(TEXT, b"say one"))
        peer.write(client_frame(TEXT, b"say two")[:5])
        peer.write(client_frame(TEXT, b"say two")[5:] + b"\x81")
        self.assertEqual(peer.wire.value(), b"")
        judging.callback(101)
        peer.write(client_frame(TEXT, b"say three")[1:])
        peer.read_response()
        self.assertEqual(peer.status, 101)
        self.assertEqual(peer.texts(), [b"one", b"two", b"three"])

    def test_refused(self) -> None:
        """The answer is the protocol's status, whatever came meanwhile; that of a 401 says what is missing."""
        for status, challenge in ((401, "Bearer"), (503, None)):
            peer, judging = self.wait()
            peer.text(b"say hello")
            judging.callback(status)
            self.clock.advance(0)
            peer.read_response()
            self.assertEqual((peer.status, peer.header("WWW-Authenticate")), (status, challenge))
            self.assertEqual(peer.wire.value(), b"")
            self.assertTrue(peer.wire.gone)
        self.assertEqual(self.factory.opened, [])

    def test_fails(self) -> None:
        """A fault of ours is a 500, and is logged once."""
        peer, judging = self.wait()
        judging.errback(ZeroDivisionError())
        self.clock.advance(0)
        peer.read_response()
        self.assertEqual(peer.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_gone(self) -> None:
        """Who goes away is asked after no more, and holds no place of its address."""
        self.configure(per_address=1)
        for _ in range(3):
            peer, judging = self.wait()
            peer.go()
            self.assertEqual(self.factory.given_up.pop(), judging)
            self.assertEqual(peer.wire.value(), b"")
            self.assertEqual((len(self.factory.admission), self.clock.getDelayedCalls()), (0, []))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_timeout(self) -> None:
        """It has the time that a handshake has, counted from the connection's first moment."""
        peer = self.peer()
        self.clock.advance(6)
        peer.write(handshake_request("/waits"))
        self.clock.advance(3.9)
        self.assertFalse(peer.wire.aborted)
        self.clock.advance(0.2)
        self.clock.advance(0)
        self.assertTrue(peer.wire.aborted and peer.wire.gone)
        self.assertEqual(len(self.factory.given_up), 1)

    def test_too_much(self) -> None:
        """Who sends more than a message meanwhile is cut; the limit itself passes."""
        for size, is_cut in ((1000, False), (1001, True)):
            peer, judging = self.wait()
            for piece in (600, size - 600):
                peer.write(bytes(piece))
            self.assertEqual(peer.wire.aborted, is_cut)
            self.assertEqual(self.factory.given_up, [judging] if is_cut else [])
            peer.go()
            self.factory.given_up.clear()

    def test_while_the_server_stops(self) -> None:
        """A server that stops can end it at any moment, politely only once it is open."""
        peer, judging = self.wait()
        peer.connection.close_going_away()
        self.assertEqual(peer.wire.value(), b"")
        judging.callback(101)
        peer.connection.close_going_away()
        self.clock.advance(0)
        peer.read_response()
        self.assert_closed(peer, 1001)


class ClosingTests(ConnectionTestCase):
    """The closing handshake, from either side."""

    def test_every_code_is_on_the_wire(self) -> None:
        """The peer sees the code and the reason that the protocol gave."""
        for code in CloseCode:
            peer = self.open()
            peer.text(b"close %d" % code)
            frame = Frame(CLOSE, int(code).to_bytes(2, "big") + code.reason.encode())
            self.assertEqual(peer.frames(), [frame])
            self.assertEqual(self.closings(str(int(code))), 1)

    def test_finished_by_the_peer(self) -> None:
        """When the peer has answered the transport is closed, by us and properly."""
        peer = self.open()
        peer.text(b"close 1000")
        self.assertFalse(peer.wire.disconnecting)
        peer.write(close_frame(1000))
        self.assertTrue(peer.wire.gone)
        self.assertFalse(peer.wire.aborted)

    def test_never_finished(self) -> None:
        """A peer that does not answer is cut."""
        peer = self.open()
        peer.text(b"close 4403")
        for _ in range(10):
            self.clock.advance(0.49)
            peer.write(client_frame(TEXT, b"still talking"))
        self.assertFalse(peer.wire.aborted)
        self.clock.advance(0.2)
        self.clock.advance(0)
        self.assertTrue(peer.wire.aborted and peer.wire.gone)
        self.assert_closed(peer, 4403)
        self.assertNotIn((b"still talking", False), self.told(peer))

    def test_by_the_peer(self) -> None:
        """A peer that closes is answered, and what was sent to it before arrives before that."""
        peer = self.open()
        peer.write(client_frame(TEXT, b"say bye") + close_frame(4321, b"tired"))
        self.assertEqual(peer.frames(), [Frame(TEXT, b"bye"), Frame(CLOSE, b"\x03\xe8")])
        self.assertTrue(peer.wire.gone)
        self.assertFalse(peer.wire.aborted)
        self.assertEqual(self.closings("other"), 1)

    def test_by_the_peer_without_a_code(self) -> None:
        """A close frame without a code counts as 1005, a lost connection as 1006."""
        self.open().write(close_frame(None))
        self.open().go()
        self.assertEqual((self.closings("1005"), self.closings("1006")), (1, 1))

    def test_by_the_peer_who_never_reads(self) -> None:
        """A peer that closes, but leaves the answer unread, is cut."""
        peer = self.open()
        peer.wire.slow = True
        peer.write(close_frame(1000))
        self.assertFalse(peer.wire.gone)
        self.clock.advance(5)
        self.clock.advance(0)
        self.assertTrue(peer.wire.aborted)

    def test_by_the_peer_who_goes_on(self) -> None:
        """What a peer sends after its close frame is not even kept."""
        peer = self.open()
        peer.wire.slow = True
        peer.write(close_frame(1000))
        for _ in range(100):
            peer.write(bytes(10_000))
        self.assertLess(len(repr(vars(peer.connection))), 20_000)

    def test_both_at_once(self) -> None:
        """A peer whose close frame comes in the same piece as its fault still sees our code."""
        peer = self.open()
        peer.write(client_frame(TEXT, b"close 1003") + close_frame(1000))
        self.assert_closed(peer, 1003)
        self.assertTrue(peer.wire.gone)
        self.assertFalse(peer.wire.aborted)

    def test_only_once(self) -> None:
        """The first to close decides; nothing goes out after that."""
        peer = self.open()
        peer.connection.send(b"before")
        peer.connection.close(CloseCode.REPLACED)
        peer.connection.close(CloseCode.DONE)
        peer.connection.send(b"after")
        peer.connection.send_frame(frames.binary(b"after"))
        peer.connection.ask_alive()
        self.clock.advance(0)
        self.assertEqual(self.assert_closed(peer, 4409), [Frame(TEXT, b"before")])

    def test_going_away(self) -> None:
        """A server that stops closes with 1001, and can cut what does not answer."""
        peer = self.open()
        (admitted,) = self.factory.admission
        admitted.close_going_away()
        self.clock.advance(0)
        self.assert_closed(peer, 1001)
        admitted.abort()
        self.clock.advance(0)
        self.assertTrue(peer.wire.aborted and peer.wire.gone)

    def test_after_the_end(self) -> None:
        """Whoever still holds a connection that is gone may call what it likes."""
        peer = self.open()
        peer.go()
        peer.connection.send(b"x")
        peer.connection.close(CloseCode.DONE)
        peer.connection.close_going_away()
        peer.connection.ask_alive()
        peer.connection.abort()
        self.assertFalse(peer.connection.identify(1))
        self.clock.advance(0)
        self.assertEqual(peer.frames(), [])


class ViolationTests(ConnectionTestCase):
    """Frames that RFC 6455 forbids: the peer sees why, and harms nobody."""

    def test_codes(self) -> None:
        """Each fault has its code, seen by the peer."""
        for data, code in (
            (b"\x81\x01x", 1002),  # not masked
            (client_frame(3, b"x"), 1002),
            (client_frame(11, b"x"), 1002),
            (b"\xc1" + client_frame(TEXT, b"x")[1:], 1002),  # compressed, which was not agreed
            (client_frame(CONTINUATION, b"x"), 1002),
            (client_frame(TEXT, b"x", final=False) + client_frame(TEXT, b"y"), 1002),
            (client_frame(PING, b"x", final=False), 1002),
            (client_frame(PING, b"x" * 126), 1002),
            (client_frame(CLOSE, b"x"), 1002),
            (b"\x81\xfe\x00\x01mask" + b"x", 1002),  # a length not in its shortest form
            (close_frame(999), 1002),
            (close_frame(1006), 1002),
            (close_frame(5000), 1002),
            (client_frame(TEXT, b"\xff"), 1007),
            (client_frame(TEXT, b"\xc3"), 1007),  # ends within a letter
            (close_frame(1000, b"\xff"), 1007),
        ):
            self.configure()
            peer = self.open()
            peer.write(data)
            self.assertEqual(self.assert_closed(peer, code), [], data)
            self.assertEqual(self.told(peer), ["opened", "ended"])
            peer.write(close_frame(code))
            self.assertTrue(peer.wire.disconnecting or not peer.wire.gone)
            self.clock.advance(5)
            self.clock.advance(0)
            self.assertTrue(peer.wire.gone, data)
            self.tearDown()

    def test_a_control_frame_without_end(self) -> None:
        """A control frame of any claimed size takes no memory."""
        peer = self.open()
        peer.write(b"\x89\xff" + (2**40).to_bytes(8, "big") + b"mask")
        for _ in range(200):
            peer.write(bytes(10_000))
        self.assert_closed(peer, 1002)
        self.assertLess(len(repr(vars(peer.connection))), 100_000)

    @given(
        pieces=st.lists(
            st.binary(max_size=20)
            | st.builds(client_frame, st.integers(0, 15), st.binary(max_size=150), final=st.booleans())
            | st.builds(close_frame, st.none() | st.integers(0, 65535), st.binary(max_size=130)),
            max_size=8,
        )
    )
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        """Whatever a peer sends, nothing is raised or logged, and what is answered are frames."""
        self.configure()
        logged = Logged(self)
        bystander, peer = self.open(), self.open()
        for piece in pieces:
            peer.write(piece)
        peer.frames()
        bystander.text(b"say fine")
        self.assertEqual(bystander.texts(), [b"fine"])
        self.tearDown()
        self.assertEqual(logged.above_debug(), [])


class FailureTests(ConnectionTestCase):
    """A protocol that raises."""

    def test_received(self) -> None:
        """Ends its own connection with 1013, is logged once, and harms no other."""
        peer, bystander = self.open(), self.open()
        peer.text(b"raise secret text")
        self.assert_closed(peer, 1013)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        bystander.text(b"say fine")
        self.assertEqual(bystander.texts(), [b"fine"])

    def test_several_messages_at_once(self) -> None:
        """What came behind the message over which it failed is not shown to it."""
        peer = self.open()
        peer.write(client_frame(TEXT, b"raise") * 3)
        self.assert_closed(peer, 1013)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_opened(self) -> None:
        """So it is when it fails over an opening."""
        peer = self.open("/opened-raises")
        self.assert_closed(peer, 1013)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_ended(self) -> None:
        """A protocol that fails over an end leaves nothing behind either."""
        self.factory.ended_raises = True
        peer, other = self.open(), self.open()
        peer.text(b"close 1000")
        self.assert_closed(peer, 1000)
        other.go()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class SlowReaderTests(ConnectionTestCase):
    """A peer that leaves too much unread: 4430."""

    def fill(self, peer: Peer, count: int, size: int = 100) -> None:
        """Send messages, one a turn."""
        for number in range(count):
            peer.connection.send(b"%d " % number + b"x" * size)
            self.clock.advance(0)

    def test_too_slow(self) -> None:
        """It is closed; what waited for it is dropped, whole frames, and others are not harmed."""
        slow, quick = self.open(), self.open()
        slow.wire.slow = True
        self.fill(slow, 20)
        self.fill(quick, 20)
        self.assertEqual(len(quick.texts()), 20)
        self.assertEqual(self.refusals("slow-reader"), 1)
        self.assertEqual(self.told(slow), ["opened", "ended"])
        slow.wire.read_on()
        before = self.assert_closed(slow, 4430)
        self.assertEqual([frame.payload[:2] for frame in before], [b"0 "])
        slow.write(close_frame(4430))
        self.assertTrue(slow.wire.gone)
        self.assertFalse(slow.wire.aborted)

    def test_never_reads_again(self) -> None:
        """If it reads nothing any more it is cut."""
        peer = self.open()
        peer.wire.slow = True
        self.fill(peer, 20)
        self.clock.advance(5)
        self.clock.advance(0)
        self.assertTrue(peer.wire.aborted and peer.wire.gone)
        self.assertEqual(self.closings("4430"), 1)

    def test_slow_but_not_too_slow(self) -> None:
        """What waits within the bound arrives, in order, when it reads on."""
        peer = self.open()
        peer.wire.slow = True
        self.fill(peer, 9)
        peer.wire.read_on()
        self.assertEqual([text[:2] for text in peer.texts()], [b"%d " % n for n in range(9)])
        self.assertEqual(self.refusals("slow-reader"), 0)

    def test_one_large_message(self) -> None:
        """One message alone, however large, closes nobody."""
        peer = self.open()
        peer.wire.slow = True
        self.fill(peer, 1)
        self.fill(peer, 1, 1_000_000)
        peer.wire.read_on()
        self.assertEqual([len(text) for text in peer.texts()], [102, 1_000_002])

    def test_pongs_count(self) -> None:
        """A peer that pings and reads no answers is a slow reader too."""
        peer = self.open()
        peer.wire.slow = True
        for _ in range(30):
            peer.write(client_frame(PING, b"x" * 100))
        self.assertEqual(self.closings("4430"), 1)


class KeepaliveTests(ConnectionTestCase):
    """Silent connections."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)

    def silent(self) -> Peer:
        """A client that has said who it is."""
        peer = self.open()
        peer.text(b"user 1")
        return peer

    def test_dead(self) -> None:
        """A peer that does not answer a ping is closed with 4408, then cut."""
        peer = self.silent()
        self.pass_time(29.5)
        self.assertEqual(peer.frames(), [])
        self.pass_time(33)
        self.assertEqual(self.assert_closed(peer, 4408), [Frame(PING, b"")])
        self.pass_time(5.5)
        self.assertTrue(peer.wire.aborted and peer.wire.gone)

    def test_alive(self) -> None:
        """A peer that answers stays."""
        peer = self.silent()
        for _ in range(10):
            self.pass_time(35)
            self.assertIn(Frame(PING, b""), peer.frames())
            peer.write(client_frame(PONG))
        self.assertEqual(self.told(peer)[-1], (b"user 1", False))

    def test_anything_counts(self) -> None:
        """Messages, pings and parts of messages show as much as a pong that a peer lives."""
        for data in (
            *(client_frame(TEXT, b"x"), client_frame(PING)),
            client_frame(TEXT, b"x", final=False),
        ):
            peer = self.silent()
            for _ in range(3):
                self.pass_time(28)
                peer.write(data)
                data = client_frame(CONTINUATION, b"x", final=False) if data[0] < 128 else data
            self.assertNotIn(PING, [frame.opcode for frame in peer.frames()])


class EndTests(ConnectionTestCase):
    """`ended` is called exactly once, whatever happens; tearDown looks that nothing is left."""

    def test_every_way(self) -> None:
        """However a connection ends, and whatever happens to it after that, it ends once."""

        def nothing(peer: Peer) -> None:
            pass

        def said_goodbye(peer: Peer) -> None:
            peer.write(close_frame(1000))

        def closed(peer: Peer) -> None:
            peer.connection.close(CloseCode.DONE)
            self.clock.advance(0)

        def cut(peer: Peer) -> None:
            peer.connection.abort()
            self.clock.advance(0)

        def gone(peer: Peer) -> None:
            peer.go()

        def gone_politely(peer: Peer) -> None:
            peer.wire.lost(ConnectionDone())

        def at_fault(peer: Peer) -> None:
            peer.write(client_frame(TEXT, b"\xff"))

        def too_much(peer: Peer) -> None:
            peer.write(client_frame(PING) * 200)

        def too_big(peer: Peer) -> None:
            peer.write(client_frame(BINARY, bytes(2000)))

        def too_slow(peer: Peer) -> None:
            peer.wire.slow = True
            for _ in range(5):
                peer.connection.send(bytes(1000))
                self.clock.advance(0)

        def later(peer: Peer) -> None:
            for _ in range(300):
                self.clock.advance(0.25)

        def failing(peer: Peer) -> None:
            peer.text(b"raise")

        ways: list[Callable[[Peer], None]] = [
            *(nothing, said_goodbye, closed, cut, gone, gone_politely),
            *(at_fault, too_much, too_big, too_slow, later, failing),
        ]
        for first in ways:
            for second in ways:
                for identified in (False, True):
                    self.configure(per_user=5, per_address=5)
                    peer = self.open()
                    if identified:
                        peer.text(b"user 1")
                    first(peer)
                    second(peer)
                    if first is not nothing:
                        self.assertEqual(self.told(peer)[-1], "ended", first.__name__)
                    self.tearDown()
        self.flushLoggedErrors(ZeroDivisionError)

    def test_losses_are_not_logged(self) -> None:
        """That connections break is no news: nothing above debug is logged."""
        logged = Logged(self)
        for reason in (ConnectionDone(), ConnectionLost(), OSError("broken")):
            self.open().wire.lost(reason)
        self.assertEqual(logged.above_debug(), [])
