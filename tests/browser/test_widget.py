"""The widget, on the page of somebody else: another origin, under a strict Content-Security-Policy."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource

from realtime.web.pages import FOLDER
from tests.browser.stage import DESKTOP, PHONE, Screen, Stage, on_both_screens, story
from tests.endtoend.client import SupportClient, connect
from tests.endtoend.daemon import DaemonProcess

POLICY = (
    "default-src 'none'; script-src {server}; connect-src {server} {websocket}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""As strict as a page can be that has a widget: no style of its own either."""


class Shop(Resource):
    """A page that has the widget as its site's owner would put it there."""

    isLeaf = True

    def __init__(self, daemon: DaemonProcess, token: str, attributes: str = "", html: str = "") -> None:
        super().__init__()
        server = f"http://127.0.0.1:{daemon.port}"
        self._policy = POLICY.format(server=server, websocket=f"ws://127.0.0.1:{daemon.port}")
        self._page = (
            f'<!doctype html><html lang="en" {html}><head><meta charset="utf-8"><title>Shop</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<script src="{server}/widget.js" data-token="{token}" {attributes} async></script></head>'
            "<body><main><h1>Shop</h1><p>Teapots and cups.</p><button>Buy</button></main></body></html>"
        )

    def render(self, request: Any) -> bytes:
        """Return the page."""
        if request.path != b"/":
            request.setResponseCode(204)  # a browser asks for an icon
            return b""
        request.setHeader("content-type", "text/html; charset=utf-8")
        request.setHeader("content-security-policy", self._policy)
        request.setHeader("connection", "close")
        return self._page.encode()


class Operator:
    """The other side: an operator with a client of another make."""

    def __init__(self, stage: Stage, daemon: DaemonProcess) -> None:
        self._stage = stage
        self._client: SupportClient = stage.wait(lambda: connect(daemon.port))
        self.ask("message.auth", stage.token(daemon, "operator"))

    def ask(self, method: str, *params: Any) -> Any:
        """The result of a request."""
        answer = self._stage.wait(lambda: self._client.request(method, *params))
        assert answer["error"] is None, answer
        return answer["result"]

    def hear(self, text: str) -> None:
        """Wait until a customer has said something."""

        async def heard() -> None:
            while not any(message["message_text"] == text for message in self._client.pushed):
                await self._client.next_push()

        self._stage.wait(lambda: Deferred.fromCoroutine(heard()))

    def say(self, text: str, customer: int = 1) -> None:
        """Answer a customer; alice unless told."""
        self.ask("message.operatorSend", text, customer)

    def leave(self) -> None:
        """Go."""
        self._stage.wait(self._gone)

    def _gone(self) -> Any:
        self._client.sendClose(1000)
        return self._client.closed


def visit(stage: Stage, daemon: DaemonProcess, screen: Screen = DESKTOP, **more: Any) -> Page:
    """Open the shop as alice, who is signed in there."""
    attributes, html = more.pop("attributes", ""), more.pop("html", "")
    token = more.pop("token", None) or stage.token(daemon, "alice")
    return stage.visit(stage.serve_elsewhere(Shop(daemon, token, attributes, html)), screen, **more)


def launcher(page: Page) -> Locator:
    """The button that opens the panel."""
    return page.locator("realtime-support .launch")


def messages(page: Page) -> Locator:
    """What is shown of the conversation, by its texts."""
    return page.locator("realtime-support .message")


def open_panel(page: Page) -> Locator:
    """Open the panel, and return where one writes."""
    launcher(page).click()
    field = page.get_by_label("Your message")
    expect(field).to_be_visible()
    return field


def test_size() -> None:
    """It is small: below 15 KB as it is, before anything packs it."""
    assert len((FOLDER / "widget.js").read_bytes()) < 15_000


@on_both_screens
@story
def test_conversation(stage: Stage, screen: Screen) -> None:
    """A customer asks, an operator answers; what is said is text, whatever it looks like."""
    daemon = stage.start()
    page = visit(stage, daemon, screen)
    operator = Operator(stage, daemon)
    field = open_panel(page)
    field.fill("<img src=x onerror=alert(1)> is this a teapot?")
    field.press("Enter")
    expect(messages(page)).to_have_count(1)
    operator.hear("<img src=x onerror=alert(1)> is this a teapot?")
    operator.say("It is.\nשלום <b>")
    expect(messages(page).nth(1)).to_contain_text("It is.\nשלום <b>")
    expect(page.locator("realtime-support .pending")).to_have_count(0)
    stage.check_accessibility(page)
    stage.check_fits(page)
    stage.picture(page, "open")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(launcher(page)).to_be_focused()
    operator.say("Anything else?")
    expect(launcher(page)).to_have_accessible_name("Support 1 unread")
    stage.check_accessibility(page)
    stage.picture(page, "unread")
    page.reload()
    expect(launcher(page)).to_have_accessible_name("Support 1 unread")
    open_panel(page)
    expect(launcher(page)).to_have_accessible_name("Support")
    expect(messages(page)).to_have_count(3)
    operator.leave()


@story
def test_server_killed(stage: Stage) -> None:
    """It comes back by itself, shows what was missed once, and sends what was written meanwhile."""
    daemon = stage.start()
    page = visit(stage, daemon)
    field = open_panel(page)
    field.fill("Before")
    field.press("Enter")
    expect(page.locator("realtime-support .message:not(.pending)")).to_have_count(1)
    stage.kill(daemon)
    expect(page.get_by_text("No connection. Trying again…")).to_be_visible()
    field.fill("Meanwhile")
    field.press("Enter")
    expect(page.get_by_text("Waiting for a connection…")).to_be_visible()
    stage.picture(page, "waiting")
    stage.expected.append("ERR_INTERNET_DISCONNECTED")
    # The operator is back first, and answers before the widget is.
    page.context.set_offline(True)
    daemon = stage.restart(daemon)
    operator = Operator(stage, daemon)
    operator.say("Missed")
    page.context.set_offline(False)
    operator.hear("Meanwhile")
    expect(page.locator("realtime-support .message:not(.pending)")).to_have_count(3)
    for number, (name, text) in enumerate((("You", "Before"), ("operator", "Missed"), ("You", "Meanwhile"))):
        expect(messages(page).nth(number)).to_contain_text(f"{name}: {text}")
    operator.leave()


@story
def test_lost_on_the_way(stage: Stage) -> None:
    """What was sent and not acknowledged is found in what the server has, or is for the user to send again."""
    daemon = stage.start()
    page = stage.visit("about:blank")
    address = stage.serve_elsewhere(Shop(daemon, stage.token(daemon, "alice"), "data-open"))
    dropped: list[str] = []

    def relay(route: Any) -> None:
        server = route.connect_to_server()

        def from_page(text: str) -> None:
            if "Never arrives" in text:
                route.close(code=1012)
                server.close()
            else:
                server.send(text)

        def from_server(text: str) -> None:
            if not dropped and "Arrives" in text:
                dropped.append(text)
                route.close(code=1012)
                server.close()
            else:
                route.send(text)

        route.on_message(from_page)
        server.on_message(from_server)

    page.context.route_web_socket("**/support", relay)
    page.goto(address)
    field = page.get_by_label("Your message")
    field.fill("Arrives")
    field.press("Enter")
    expect(page.locator("realtime-support .message:not(.pending)")).to_have_count(1)
    assert json.loads(dropped[0])["result"]["message"]["message_text"] == "Arrives"
    field.fill("Never arrives")
    field.press("Enter")
    expect(page.get_by_text("Not sent.")).to_be_visible()
    expect(messages(page)).to_have_count(2)
    stage.picture(page, "unsent")
    stage.check_accessibility(page)
    page.get_by_role("button", name="Discard").click()
    expect(messages(page)).to_have_count(1)
    expect(field).to_be_focused()


@story
def test_refused(stage: Stage) -> None:
    """A page that may not connect, or whose token is not good, is told so; with a new token it begins anew."""
    stage.expected += ["WebSocket connection to", "CORS policy", "Failed to load resource"]
    daemon = stage.start(environment={"REALTIME_AUTH_ORIGINS": "https://other.example"})
    page = visit(stage, daemon, attributes="data-open")
    expect(page.get_by_text("The chat is not available on this page.")).to_be_visible()
    stage.picture(page, "origin")
    stage.kill(daemon)
    daemon = stage.restart(daemon)
    page = visit(stage, daemon, attributes="data-open", token="wrong")
    expect(page.get_by_text("Please sign in again.")).to_be_visible()
    token = stage.token(daemon, "alice")
    page.evaluate("(token) => { document.querySelector('script').dataset.token = token }", token)
    expect(page.locator("realtime-support .state")).to_have_text("")
    page.evaluate("delete document.querySelector('script').dataset.token")
    expect(page.locator("realtime-support")).to_be_hidden()


@story
def test_ways_to_look(stage: Stage) -> None:
    """Dark, from right to left, with a title of the site's own, by keyboard alone; on a phone, all there is."""
    daemon = stage.start()
    page = visit(stage, daemon, attributes='data-title="Help"', html='dir="rtl"', color_scheme="dark")
    expect(launcher(page)).to_be_visible()
    box = launcher(page).bounding_box()
    assert box is not None
    assert box["x"] < DESKTOP.width / 2
    page.keyboard.press("Tab")  # to the shop's own button
    page.keyboard.press("Tab")
    expect(launcher(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_focused()
    stage.check_accessibility(page)
    stage.picture(page, "dark")
    phone = visit(stage, daemon, PHONE)
    open_panel(phone)
    panel = phone.locator("realtime-support dialog").bounding_box()
    assert panel == {"x": 0, "y": 0, "width": PHONE.width, "height": PHONE.height}
    for _ in range(12):
        phone.keyboard.press("Tab")
        assert phone.evaluate("document.activeElement.tagName") in ("REALTIME-SUPPORT", "BODY")
