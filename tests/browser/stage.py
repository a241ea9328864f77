"""What a story in the browser has at hand: daemons, pages, pictures, and who looks for faults in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import blockingCallFromThread
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests import node
from tests.browser.chromium import Chromium
from tests.endtoend.accounts import add_user
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import DaemonProcess
from tests.reactor import in_reactor

T = TypeVar("T")

PICTURES = Path(__file__).parents[2] / "var" / "screenshots"
"""Where the pictures of a run are kept."""

PATIENCE = 20_000
"""Milliseconds that a page may take to show what is waited for."""

_START_SECONDS = 60
"""Seconds that anything outside of the browser may take, the start of a daemon on a busy machine for one."""

expect.set_options(timeout=PATIENCE)

_OUTAGES = ("WebSocket connection to", "net::ERR_CONNECTION_REFUSED")
"""How Chromium says in the console that a server is away: a fault, unless the story took it away."""


@dataclass(frozen=True)
class Screen:
    """What a person looks at."""

    name: str
    width: int
    height: int
    phone: bool = False


DESKTOP = Screen("desktop", 1280, 800)
PHONE = Screen("phone", 390, 844, phone=True)

on_both_screens = pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=lambda screen: screen.name)
"""Runs a story twice: its ``screen`` is the desktop's, then the phone's."""


def story(play: Callable[..., None]) -> Callable[..., Deferred[None]]:
    """Makes a test of a function that takes a `Stage` as ``stage``; it is run in the browser's thread.

    When it is over no page may have had an error in its console, a violation of its Content-Security-Policy
    included, nor an exception that nobody caught.
    """

    @wraps(play)
    async def test(stage: Stage, **fixtures: Any) -> None:
        await stage.chromium.run(lambda: stage.play(lambda: play(stage=stage, **fixtures)))

    return in_reactor(test)


class Stage:
    """All methods are for the browser's thread.

    Attributes:
        expected: regular expressions for what may stand in a console: what the story brings about.
    """

    def __init__(self, chromium: Chromium, start_daemon: Start, folder: Path, name: str) -> None:
        self.chromium = chromium
        self.expected: list[str] = []
        self._start_daemon = start_daemon
        self._folder = folder
        self._name = name
        self._contexts: list[BrowserContext] = []
        self._faults: list[str] = []
        self._ports: list[Any] = []

    # -- servers

    def start(self, *options: str, port: int = 0, **settings: Any) -> DaemonProcess:
        """Start a daemon with the demo accounts; ``environment={…}`` adds settings."""
        environment = dict(settings.pop("environment", {}))
        environment.setdefault("REALTIME_LISTEN", f"tcp:{port}:interface=127.0.0.1")
        daemon = self.wait(lambda: self._start_daemon("--demo", *options, environment=environment, **settings))
        self.wait(lambda: daemon.logged("demo accounts"))
        return daemon

    def kill(self, daemon: DaemonProcess) -> None:
        """Kill a daemon; pages may complain from now on that they can't reach it."""
        self.expected += _OUTAGES
        self.wait(daemon.kill)

    def restart(self, daemon: DaemonProcess, *options: str, **settings: Any) -> DaemonProcess:
        """Start one again that was killed, on the same port."""
        return self.start(*options, port=daemon.port, **settings)

    def serve_elsewhere(self, resource: Resource) -> str:
        """Serve a site of somebody else's, and return its origin."""
        site = Site(resource)
        site.noisy = False
        port = self._in_reactor(lambda reactor: reactor.listenTCP(0, site, interface="127.0.0.1"))
        self._ports.append(port)
        return f"http://127.0.0.1:{port.getHost().port}"

    def add_user(self, name: str, *options: str) -> None:
        """Add an account; its name is its password. ``"--admin"`` makes an operator of it."""
        self.wait(lambda: add_user(self._folder, name, *options))

    def token(self, daemon: DaemonProcess, name: str) -> str:
        """Sign in, and return the token."""
        body = json.dumps({"user_name": name, "password": name}).encode()
        answer = self.ask(daemon, "/v1/auth/", body=body)
        token: str = answer["result"]["token"]
        return token

    def ask(
        self, daemon: DaemonProcess, path: str, *, body: bytes | None = None, method: str = "", token: str = ""
    ) -> Any:
        """The JSON answer of the HTTP side."""
        request = Request(f"http://127.0.0.1:{daemon.port}{path}", data=body, method=method or None)
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urlopen(request, timeout=PATIENCE / 1000) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()!r}") from None

    def wait(self, function: Callable[[], Deferred[T]]) -> T:
        """Call a function in the reactor's thread, and wait for what its Deferred fires with, in time."""
        result: T = self._in_reactor(lambda reactor: function().addTimeout(_START_SECONDS, reactor))
        return result

    def _in_reactor(self, function: Callable[[Any], Any]) -> Any:
        from twisted.internet import reactor

        return blockingCallFromThread(cast(Any, reactor), function, reactor)

    # -- browsers

    def visit(self, address: str, screen: Screen = DESKTOP, **context: Any) -> Page:
        """Open a page in a browser of its own: no cookie, no storage, nothing of another's.

        ``context`` are playwright's options of a context (``color_scheme="dark"``, ``locale="ar"``).
        """
        opened = self.chromium.browser.new_context(
            viewport={"width": screen.width, "height": screen.height},
            is_mobile=screen.phone,
            has_touch=screen.phone,
            device_scale_factor=2 if screen.phone else 1,
            **context,
        )
        self._contexts.append(opened)
        opened.set_default_timeout(PATIENCE)
        opened.on("console", self._note)
        opened.on("weberror", lambda error: self._faults.append(f"uncaught: {error.error}"))
        page = opened.new_page()
        page.goto(address)
        return page

    def picture(self, page: Page, name: str) -> None:
        """Keep a picture of what is seen, as the output of the test."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        # Written here: playwright would do it in one more thread of its own, and keep that.
        (PICTURES / f"{self._name}-{name}.png").write_bytes(page.screenshot())

    def check_accessibility(self, page: Page, *, allowed: tuple[str, ...] = ()) -> None:
        """Have axe look at the page as it is now (WCAG 2.2 A and AA, and good practice)."""
        # Evaluated, not added as a script: the policy of the page holds for its own scripts.
        page.evaluate(_axe())
        rules = {rule: {"enabled": False} for rule in allowed}
        found = page.evaluate("(rules) => axe.run(document, {rules})", rules)
        violations = [
            f"{each['id']}: {each['help']} ({', '.join(str(where['target']) for where in each['nodes'])})"
            for each in found["violations"]
        ]
        assert not violations, "\n".join(violations)

    def check_fits(self, page: Page) -> None:
        """Nothing is wider than the screen."""
        width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], f"{width[0]} CSS pixels wide on a screen of {width[1]}"

    # -- the end

    @property
    def faults(self) -> list[str]:
        """What pages have said in their consoles and nobody expected."""
        return [fault for fault in self._faults if not any(re.search(each, fault) for each in self.expected)]

    def forget(self) -> None:
        """Overlook what they have said so far."""
        self._faults.clear()

    def play(self, part: Callable[[], None]) -> None:
        """Run a story, then look at what its pages said meanwhile."""
        try:
            part()
        except BaseException:
            for number, page in enumerate(self._pages()):
                self.picture(page, f"failed-{number}")
            raise
        finally:
            for context in self._contexts:
                context.close()
            for port in self._ports:
                self.wait(partial(maybeDeferred, port.stopListening))
        assert not self.faults, "\n".join(self.faults)

    def _pages(self) -> list[Page]:
        return [page for context in self._contexts for page in context.pages]

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._faults.append(f"{message.type}: {message.text}")


@cache
def _axe() -> str:
    return node.package_file("axe-core/axe.min.js").read_text(encoding="utf-8")
