"""The playground: the five stories told in the page, by two people, with the frames that cross the wire."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.stage import PHONE, Stage, story
from tests.browser.two_people import begin, frame, heard, press, say, sides, wire

Scheme = Literal["dark", "light"]

PICTURE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""

KEPT = Path(__file__).parents[2] / "docs" / "images" / "playground.png"
"""The picture that README.md shows: REALTIME_KEEP_PICTURE=1 pytest tests/browser/test_playground.py -k talk"""

KEEP = "REALTIME_KEEP_PICTURE" in os.environ
"""Whether it is made anew."""


_SETTLED = """
Promise.race([
  Promise.allSettled(document.getAnimations().map(({ finished }) => finished)),
  new Promise((resolve) => setTimeout(resolve, 1000)),
]).then(() => null)
"""
"""Fires when no colour is on its way to another."""


def check(stage: Stage, page: Page, name: str, schemes: Sequence[Scheme] = ("dark", "light")) -> None:
    """The pane can be used by all, in both schemes; keep a picture of each."""
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(_SETTLED)
        stage.check_accessibility(page)
        stage.check_fits(page)
        stage.picture(page, f"{name}-{scheme}")


def keep_picture(page: Page) -> None:
    """Have more said, and keep a picture of it for README.md."""
    alice, bob = sides(page)
    say(alice, "Hello! Do you come here often?")
    heard(bob, "Hello!")
    say(bob, "Every time somebody types make run.")
    heard(alice, "Every time")
    say(alice, "Then it is you whom I have to thank.")
    heard(bob, "Then it is you").click()
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_bytes(page.screenshot())


@story
def test_talk(stage: Stage) -> None:
    """Two find each other, confirm, talk until time is up and answer; then both begin anew."""
    duration = "60" if KEEP else "5"
    environment = {"REALTIME_TALK_TALK_DURATION": duration, "REALTIME_TALK_REMATCH_AFTER": "0"}
    daemon = stage.start(environment=environment)
    page = stage.visit(f"http://127.0.0.1:{daemon.port}/#talk")
    expect(page.get_by_role("heading", name="One server, five chat protocols.")).to_be_visible()
    check(stage, page, "welcome")
    page.get_by_role("button", name="Begin as alice and bob").dblclick()
    expect(page.get_by_role("tab")).to_have_count(5)
    alice, bob = sides(page)
    press(alice, "Find somebody")
    expect(alice.locator("[aria-current=step]")).to_have_text("search")
    press(bob, "Find somebody")
    expect(alice.locator(".partner")).to_have_text("bob")
    expect(alice.get_by_role("timer")).to_have_text(re.compile(r"1[0-5] s"))
    press(alice, "Confirm")
    expect(alice.locator(".note")).to_contain_text("You have confirmed")
    press(bob, "Confirm")
    if KEEP:
        keep_picture(page)
        return
    say(alice, "Hello <b>there</b>")
    heard(bob, "Hello <b>there</b>")
    expect(bob.get_by_role("timer")).to_have_text(re.compile(r"[1-5] s"))
    bob.get_by_label("Am I boring?").fill("Not at all")
    bob.get_by_label("Would you talk to me again?").fill("Gladly")
    check(stage, page, "answering")
    press(bob, "Send the answers")
    alice.get_by_label("Did you like the talk?").fill("Yes")
    press(alice, "Send the answers")
    expect(alice.locator(".told")).to_contain_text("Not at all")
    expect(bob.locator(".told")).to_contain_text("Yes")
    frame(page, "bob", "chat-stop", "in").click()
    expect(wire(page).locator(".inside")).to_contain_text("Am I boring?")
    for side in (alice, bob):
        press(side, "Another talk")
        expect(side.get_by_role("status")).to_have_text("Connected")
        press(side, "Find somebody")
    expect(alice.locator(".partner")).to_have_text("bob")
    expect(bob.get_by_role("button", name="Confirm")).to_be_visible()
    press(bob, "Cut the connection")
    expect(alice.get_by_role("alert")).to_contain_text("partner-left")
    expect(alice.locator(".outcome")).to_have_text("The talk is over.")


@story
def test_market(stage: Stage) -> None:
    """A price is named, bettered, accepted, and the service is done and graded; as text, then as bytes."""
    daemon = stage.start(environment={"REALTIME_MARKET_PING_INTERVAL": "0.3"})
    page = begin(stage, daemon, "market")
    alice, bob = sides(page)
    say(alice, "Do you paint portraits?")
    mine = heard(alice, "Do you paint portraits?")
    expect(mine).to_contain_text("stored")
    heard(bob, "Do you paint portraits?")
    press(bob, "Mark 1 as seen")
    expect(mine).to_contain_text("seen")
    press(alice, "Propose")
    expect(bob.locator(".amount")).to_have_text("120.00")
    press(alice, "Accept the price")
    expect(alice.get_by_role("alert")).to_contain_text("not-allowed")
    alice.get_by_label("Another price").fill("95")
    press(alice, "Name this price")
    expect(bob.locator(".amount")).to_have_text("95.00")
    frame(page, "alice", "0xE5 PRICE EDITED", "out").click()
    press(wire(page), "Raw")
    expect(wire(page).locator(".inside")).to_contain_text('{"type":229,"data":{"conversation"')

    page.get_by_label("Binary").check()
    expect(bob.locator(".amount")).to_have_text("95.00")
    press(bob, "Accept the price")
    expect(alice.locator(".status")).to_have_text("agreed")
    frame(page, "bob", "0xE6 NEGOTIATION END", "out").click()
    expect(wire(page).locator(".inside")).to_contain_text(
        re.compile(r"^0000  e6 7b 22 63 6f .*\.\{\"conversation")
    )
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(wire(page), "Copy")
    expect(wire(page).get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("0000  e6 7b 22")
    check(stage, page, "agreed")
    press(alice, "It is done")
    press(bob, "Grade it")
    heard(alice, "Noted by the recipient: A portrait, 5 of 5.")
    expect(bob.locator(".status")).to_have_text("terminated")
    press(bob, "Dispute it")
    expect(alice.locator(".status")).to_have_text("disputed")
    press(bob, "Report the conversation")
    expect(frame(page, "bob", "0xFE REPORT CONVERSATIONS", "out")).to_be_visible()
    expect(frame(page, "alice", "PING", "in")).to_have_count(0)
    wire(page).get_by_label("Heartbeats").check()
    expect(frame(page, "alice", "PING", "in")).to_be_visible()


@story
def test_messenger(stage: Stage) -> None:
    """A room, a picture, and a private dialog whose receipt comes when the other is back."""
    daemon = stage.start()
    page = begin(stage, daemon, "messenger")
    alice, bob = sides(page)
    expect(alice.get_by_label("Who is here")).to_contain_text("bob")
    say(alice, "Hello all")
    expect(heard(bob, "Hello all")).to_contain_text("in the room")
    bob.get_by_text("Profile").click()
    bob.get_by_label("Picture").set_input_files({"name": "me.png", "mimeType": "image/png", "buffer": PICTURE})
    expect(alice.get_by_label("Who is here").locator("img")).to_have_js_property("naturalWidth", 1)
    press(bob, "Leave")
    expect(alice.get_by_label("Who is here")).not_to_contain_text("bob")
    alice.get_by_label("To whom").select_option(label="bob, privately")
    say(alice, "Call me")
    expect(heard(alice, "Call me")).to_contain_text("sent, not delivered yet")
    check(stage, page, "away")
    press(bob, "Come back")
    expect(heard(alice, "Call me")).to_contain_text("delivered")
    expect(heard(bob, "Call me")).to_contain_text("privately")
    heard(bob, "Hello all")
    frame(page, "alice", "DELIVERY_MESSAGE SUCCESS", "in").click()
    expect(wire(page).locator(".inside")).to_contain_text("clientMessageId")
    wire(page).get_by_label("Show frames that contain").fill("AUTH_MESSAGE")
    expect(frame(page, "alice", "HISTORY", "out")).to_have_count(0)
    frame(page, "alice", "AUTH_MESSAGE", "out").click()
    expect(wire(page).locator(".inside")).to_contain_text('"(the token)"')
    press(wire(page), "Raw")
    expect(wire(page).locator(".inside")).to_contain_text('{"token":"(the token)"}')
    expect(wire(page)).not_to_contain_text("eyJ")


@story
def test_workspace(stage: Stage) -> None:
    """Channels are made by event and over HTTP; who was cut off is given what it missed."""
    daemon = stage.start()
    page = begin(stage, daemon, "workspace")
    alice, bob = sides(page)
    expect(bob.locator(".members [data-status=online]")).to_have_count(2)
    alice.get_by_label("Name of a new channel").fill("general")
    press(alice, "Make it")
    expect(bob.get_by_label("Channel", exact=True)).to_have_text("# general")
    bob.get_by_label("Name of a new channel").fill("random")
    bob.get_by_label("How it is made").select_option("http")
    press(bob, "Make it")
    expect(alice.get_by_label("Channel", exact=True)).to_contain_text("# random")
    frame(page, "bob", "POST /v1/workspaces/default/channels", "out").click()
    alice.get_by_label("Channel", exact=True).select_option(label="# random")
    say(alice, "Anybody?")
    heard(bob, "Anybody?")
    alice.get_by_label("How you look to others").select_option("idle")
    expect(bob.locator(".members [data-status=idle]")).to_contain_text("alice")
    # It is away for half a second at most: what it misses is on the server's way before.
    press(bob, "Cut the connection")
    say(alice, "Did you miss this?")
    expect(heard(bob, "Back, as who it was")).to_be_visible()
    heard(bob, "Did you miss this?")
    press(wire(page), "Follow the newest")
    check(stage, page, "back")


@story
def test_support(stage: Stage) -> None:
    """A customer and an operator; the server is killed and restarted, and both come back by themselves."""
    daemon = stage.start()
    page = begin(stage, daemon, "support")
    alice, operator = sides(page)
    say(alice, "My order is late")
    heard(operator, "My order is late")
    press(operator, "Take")
    expect(operator.get_by_label("Conversations")).to_contain_text("yours")
    say(operator, "Let me look")
    expect(heard(alice, "Let me look")).to_contain_text("operator")
    expect(frame(page, "alice", "message.conversations", "out")).to_have_count(0)
    press(wire(page), "Pause")
    lines = wire(page).locator(".frames > :visible")
    before = lines.count()
    say(alice, "Thank you")
    heard(operator, "Thank you")
    expect(wire(page).locator(".count")).to_contain_text("paused, 3 passed")
    assert lines.count() == before
    press(wire(page), "Pause")
    check(stage, page, "desk")
    wire(page).get_by_label("Direction").select_option("out")
    expect(lines.filter(has_text="message.assign")).to_have_count(1)
    expect(wire(page).locator(".frames > [data-direction=in]:visible")).to_have_count(0)
    press(wire(page), "Clear")
    expect(lines).to_have_count(0)
    wire(page).get_by_label("Direction").select_option("")

    stage.kill(daemon)
    for side in (alice, operator):
        expect(side.locator(".countdown")).to_contain_text("again in")
    say(alice, "Are you still there?")
    expect(heard(alice, "Are you still there?")).to_contain_text("waits for the connection")
    daemon = stage.restart(daemon)
    for side in (alice, operator):
        press(side, "Try now")
        expect(side.get_by_role("status")).to_have_text("Connected")
    heard(operator, "Are you still there?")
    expect(heard(alice, "Are you still there?")).to_contain_text("stored")
    operator.get_by_label("Who sits here").select_option("bob")
    expect(operator.get_by_role("alert")).to_contain_text("bob is no operator")


@story
def test_phone(stage: Stage) -> None:
    """At the size of a phone all of it is there, one below the other; tabs work by keys and by address."""
    daemon = stage.start()
    page = begin(stage, daemon, "messenger", PHONE)
    alice, bob = sides(page)
    say(alice, "Hello from a phone")
    heard(bob, "Hello from a phone")
    wire(page).scroll_into_view_if_needed()
    check(stage, page, "messenger", ["light"])
    page.get_by_role("tab", name="messenger").press("ArrowRight")
    expect(page.get_by_role("tab", name="support")).to_be_focused()
    assert page.url.endswith("#support")
    for name in ("talk", "workspace", "market", "support"):
        page.evaluate("(name) => (location.hash = name)", name)
        expect(page.get_by_role("tabpanel")).to_have_count(1)
        for side in sides(page):
            expect(side.get_by_role("status")).to_have_text("Connected")
        stage.check_fits(page)
    page.reload()
    for side in sides(page):
        expect(side.get_by_role("status")).to_have_text("Connected")


@story
def test_lost_on_the_way(stage: Stage) -> None:
    """What was said and never came is shown as unsent, and said again if one wants; few frames are kept."""
    daemon = stage.start()
    page = stage.visit("about:blank")
    lost: list[str | bytes] = []

    def relay(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def arrived(frame: str | bytes) -> None:
            if not lost and "Is this lost?" in str(frame):
                lost.append(frame)
            else:
                server.send(frame)

        route.on_message(arrived)

    page.route_web_socket("**/messenger", relay)
    page.goto(f"http://127.0.0.1:{daemon.port}/#messenger")
    page.get_by_role("button", name="Begin as alice and bob").click()
    alice, bob = sides(page)
    say(alice, "Is this lost?")
    expect(heard(alice, "Is this lost?")).to_contain_text("on its way")
    press(alice, "Cut the connection")
    expect(heard(alice, "Is this lost?")).to_contain_text("not sent")
    press(alice, "Send again")
    heard(bob, "Is this lost?")
    expect(alice.locator("[data-unsent]")).to_have_count(0)
    kept = page.evaluate(
        """async () => {
          const { Wire } = await import(new URL('static/playground/frames.js', location.href))
          const root = document.querySelector('#wire').content.cloneNode(true).querySelector('.wire')
          const wire = new Wire(root, (text) => text)
          const frame = { who: 'alice', direction: 'in', decoded: null, isHeartbeat: false }
          for (let at = 0; at < 305; at++) wire.add({ ...frame, raw: '', name: `frame ${at}` })
          return [...root.querySelectorAll('.frames .what')].map(({ textContent }) => textContent)
        }"""
    )
    assert (len(kept), kept[0], kept[-1]) == (300, "frame 5", "frame 304")


@story
def test_without_demo_accounts(stage: Stage) -> None:
    """Where there are none, two people sign in by hand, and others can be seated later."""
    daemon = stage.start()
    stage.expected.append("status of 403")
    page = stage.visit("about:blank")
    told = {"protocols": ["support", "market"], "demo": False, "talk": {}}
    page.route("**/static/server.json", lambda route: route.fulfill(json=told))
    page.goto(f"http://127.0.0.1:{daemon.port}/")
    for number, name in ((1, "alice"), (2, "bob")):
        page.locator(f"[name=name-{number}]").fill(name)
        page.locator(f"[name=password-{number}]").fill("wrong" if name == "bob" else name)
    press(page.locator("#sign-in-two"), "Begin")
    expect(page.locator("#welcome-fault")).to_have_text("Wrong name or password.")
    stage.check_accessibility(page)
    page.locator("[name=password-1]").fill("alice")
    page.locator("[name=password-2]").fill("bob")
    press(page.locator("#sign-in-two"), "Begin")
    expect(page.get_by_role("tab")).to_have_text(["market", "support"])
    page.get_by_role("tab", name="support").click()
    _, desk = sides(page)
    expect(desk.get_by_role("alert")).to_contain_text("bob is no operator")
    desk.get_by_label("Who sits here").select_option(label="Somebody else…")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("operator")
    dialog.get_by_label("Password").fill("operator")
    stage.check_accessibility(page)
    press(dialog, "Sign in")
    expect(desk.get_by_label("Who sits here")).to_have_value("operator")
    expect(desk.get_by_role("status")).to_have_text("Connected")
    expect(desk.get_by_role("button", name="Take")).to_be_visible()
