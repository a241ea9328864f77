"""Outside authorization servers over real connections: good, slow, down, lying, and back again."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.web.server import Site

from realtime.accounts.check_token import MAXIMUM_BYTES, TokenChecker
from realtime.accounts.errors import IssuerUnavailable, TokenInvalid
from tests.accounts.authorization import (
    ALICE,
    ERROR,
    AuthorizationServer,
    Liar,
    nobody,
    real_agent,
    serve,
    serve_liar,
    success,
)
from tests.logged import Logged
from tests.reactor import TestCase

reactor: Any = _reactor

GOOD = success(ALICE)


class RealServerTests(TestCase):
    """Over real connections, to a server that keeps to the agreement and one that doesn't."""

    def setUp(self) -> None:
        """Have a server and a checker whose time is the test's."""
        self.clock = Clock()
        self.server = AuthorizationServer()
        self.logged = Logged(self)

    def checker(self, url: str) -> TokenChecker:
        """A checker of what is served there."""
        return TokenChecker(url, agent=real_agent(), clock=self.clock)

    def serve(self, *, tls: bool = False) -> TokenChecker:
        """A checker that asks the server."""
        return self.checker(serve(Site(self.server), self.addCleanup, tls=tls))

    async def refused(self, checker: TokenChecker, token: str = "good") -> None:
        """It can't be known whose the token is."""
        await self.assertFailure(checker.check(token), IssuerUnavailable)

    async def test_good_and_bad(self) -> None:
        """A user for a good token, a refusal for another; the good one is asked about once."""
        checker = self.serve()
        for _ in range(3):
            self.assertEqual((await checker.check("good")).subject, "17")
            await self.assertFailure(checker.check("bad"), TokenInvalid)
        self.assertEqual(self.server.asked, ["good", "bad", "bad", "bad"])

    async def test_encrypted(self) -> None:
        """Over HTTPS it is the same."""
        checker = self.serve(tls=True)
        self.assertEqual((await checker.check("good")).subject, "17")
        await self.assertFailure(checker.check("bad"), TokenInvalid)

    async def test_together(self) -> None:
        """A thousand who come at once with ten tokens cause ten requests."""
        self.server.users = {str(number): {"userId": number} for number in range(10)}
        checker = self.serve()
        users = await gatherResults([checker.check(str(number % 10)) for number in range(1000)])
        self.assertEqual([user.subject for user in users], [str(number % 10) for number in range(1000)])
        self.assertEqual(sorted(self.server.asked), sorted(self.server.users))

    async def test_slow(self) -> None:
        """A server that doesn't answer in time is given up, and its connection is cut."""
        for tls in (False, True):
            self.server.held = True
            checker = self.serve(tls=tls)
            checked = checker.check("good")
            while len(self.server.gone) < 1 + tls:
                await self.turn()
            self.clock.advance(4.9)
            self.assertNoResult(checked)
            self.clock.advance(0.1)
            await self.assertFailure(checked, IssuerUnavailable)
            await self.server.gone[-1]

    async def test_down_and_back_again(self) -> None:
        """While nobody listens it can't be known; when somebody does again, it can, after a pause."""
        address: str = await nobody()
        checker = self.checker(address)
        for _ in range(6):
            await self.refused(checker)
        number = int(address.split(":")[2].partition("/")[0])
        port = reactor.listenTCP(number, Site(self.server), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        await self.refused(checker)
        self.assertEqual(self.server.asked, [])
        self.clock.advance(10)
        self.assertEqual((await checker.check("good")).subject, "17")
        await self.assertFailure(checker.check("bad"), TokenInvalid)

    async def test_ill_and_well_again(self) -> None:
        """A server that answers 500 is spared; each try that fails doubles the pause."""
        self.server.ill = True
        checker = self.serve()
        for _ in range(10):
            await self.refused(checker)
        self.assertEqual(len(self.server.asked), 5)
        for pause in (10, 20, 40, 60):
            self.clock.advance(pause)
            await self.refused(checker)
            await self.refused(checker)
        self.assertEqual(len(self.server.asked), 9)
        self.server.ill = False
        self.clock.advance(60)
        self.assertEqual((await checker.check("good")).subject, "17")

    async def test_nobody_accepts(self) -> None:
        """The time for connecting is part of the whole, and the attempt is given up."""
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(full.close)
        for _ in range(4):  # more than the system keeps waiting
            waiting = socket.socket()
            self.addCleanup(waiting.close)
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        checked = self.checker(f"http://127.0.0.1:{full.getsockname()[1]}/").check("good")
        for _ in range(5):
            await self.turn()
        self.assertNoResult(checked)
        self.clock.advance(5)
        await self.assertFailure(checked, IssuerUnavailable)

    async def test_stop(self) -> None:
        """Stopping cuts the connections of the requests under way."""
        self.server.held = True
        checker = self.serve()
        checked = checker.check("good")
        while not self.server.gone:
            await self.turn()
        checker.stop()
        await self.assertFailure(checked, IssuerUnavailable)
        await self.server.gone[0]

    def turn(self) -> Deferred[None]:
        """One turn of the reactor."""
        turned: Deferred[None] = Deferred()
        reactor.callLater(0, turned.callback, None)
        return turned

    async def test_lying(self) -> None:
        """Whatever comes instead of an answer, the token is not judged, and the connection ends."""
        elsewhere = serve(Site(self.server), self.addCleanup).encode()
        head = b"HTTP/1.1 200 OK\r\n"
        whole = b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
        for words in (
            b"",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"good\r\n\r\n",
            GOOD,
            b"HTTP/1.1 200 OK",
            head + b"\r\n",
            head + b"Content-Type: text/html\r\n\r\n<html>SUCCESS</html>",
            head + b"Content-Length: 0\r\n\r\n",
            head + b"Content-Length: %d\r\n\r\n" % (len(GOOD) + 1) + GOOD,
            head + b"Content-Length: -1\r\n\r\n" + GOOD,
            head + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD[:-1],
            head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(GOOD) + GOOD,
            head + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n" + GOOD,
            head + b"Transfer-Encoding: gzip\r\n" + whole,
            head + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00",
            head + b"no header\r\n" + whole,
            head + b"\r\n" + GOOD[:-1],
            head + b"\r\n" + success({"userId": None}),
            head + b"\r\n" + success([ALICE]),
            head + b"\r\n" + b'{"status": true}',
            b"HTTP/1.1 500 Internal Server Error\r\n" + whole,
            b"HTTP/1.1 200000000000000000000000 OK\r\n" + whole,
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 401 Unauthorized\r\n\r\n" + ERROR,
            *(
                b"HTTP/1.1 %d Moved\r\nLocation: %s\r\n" % (code, elsewhere) + whole
                for code in (301, 302, 307, 308)
            ),
        ):
            liar = Liar(words)
            await self.refused(self.checker(serve_liar(liar, self.addCleanup)))
            await liar.gone
        self.assertEqual(self.server.asked, [])

    async def test_ends_of_bodies(self) -> None:
        """Chunks, and a body that ends with the connection, are whole answers."""
        for words in (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(GOOD)
            + GOOD
            + b"\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n" + GOOD,
        ):
            liar = Liar(words)
            user = await self.checker(serve_liar(liar, self.addCleanup)).check("good")
            self.assertEqual(user.subject, "17")
            await liar.gone

    async def test_endless(self) -> None:
        """A body that doesn't end is cut when it is too long, whatever its length was said to be."""
        for tls in (False, True):
            for length in (b"", b"Content-Length: 1000000000\r\n", b"Content-Length: 99999999\r\n"):
                liar = Liar(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n", "go on")
                await self.refused(self.checker(serve_liar(liar, self.addCleanup, tls=tls)))
                self.assertIs(await liar.gone, ConnectionLost)
                self.assertGreater(liar.said, MAXIMUM_BYTES)

    async def test_endless_head(self) -> None:
        """A head that doesn't end is cut when a line of it is too long, or else when the time is up."""
        liar = Liar(b"HTTP/1.1 200 OK\r\nX: ", "go on")
        await self.refused(self.checker(serve_liar(liar, self.addCleanup)))
        await liar.gone
        for more in (b"X: y\r\n", b" y\r\n"):
            liar = Liar(b"HTTP/1.1 200 OK\r\nX: y\r\n", "go on", more)
            checked = self.checker(serve_liar(liar, self.addCleanup)).check("good")
            while liar.said < 500_000:
                await self.turn()
            self.assertNoResult(checked)
            self.clock.advance(5)
            await self.assertFailure(checked, IssuerUnavailable)
            self.assertIs(await liar.gone, ConnectionLost)

    async def test_silent(self) -> None:
        """A server that stops in the middle is given up, and cut without waiting for its good-bye."""
        for tls in (False, True):
            for words in (b"", b"HTTP/1.1 200 OK\r\nX:", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"):
                liar = Liar(words, "stay silent")
                checked = self.checker(serve_liar(liar, self.addCleanup, tls=tls)).check("good")
                while not liar.heard.endswith(b"}"):
                    await self.turn()
                for _ in range(5):
                    await self.turn()
                self.clock.advance(5)
                await self.assertFailure(checked, IssuerUnavailable)
                self.assertIs(await liar.gone, ConnectionLost)

    async def test_repeats_the_token(self) -> None:
        """A server that says the token back does not bring it into the log."""
        for words in (
            b"good-secret\r\n",
            b"HTTP/1.1 good-secret\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\ngood-secret",
        ):
            liar = Liar(words)
            await self.refused(self.checker(serve_liar(liar, self.addCleanup)), "good-secret")
            await liar.gone
        self.assertEqual(self.logged.holding("good-secret"), [])
        self.assertEqual(len([each for each in self.logged.above_debug() if "reason" in each]), 3)
