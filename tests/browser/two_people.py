"""What stories in the playground have in common: two people, what they do, and the frames of it."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.stage import DESKTOP, Screen, Stage
from tests.endtoend.daemon import DaemonProcess


def begin(
    stage: Stage, daemon: DaemonProcess, protocol: str, screen: Screen = DESKTOP, scheme: str = "light"
) -> Page:
    """Open a protocol's pane as alice, and bob or the operator."""
    page = stage.visit(f"http://127.0.0.1:{daemon.port}/#{protocol}", screen, color_scheme=scheme)
    page.get_by_role("button", name="Begin as alice and bob").click()
    for side in sides(page):
        expect(side.get_by_role("status")).to_have_text("Connected")
    return page


def sides(page: Page) -> tuple[Locator, Locator]:
    """The two people of the pane that is open."""
    seats = page.locator(".pane:not([hidden]) .seat")
    return seats.nth(0), seats.nth(1)


def say(side: Locator, text: str) -> None:
    """Say something."""
    side.get_by_label("Say something").fill(text)
    side.get_by_role("button", name="Send", exact=True).click()


def heard(side: Locator, text: str) -> Locator:
    """The line of this text, once it is there."""
    line = side.locator(".message", has_text=text)
    expect(line).to_have_count(1)
    return line


def press(side: Locator, name: str) -> None:
    """Press a button."""
    side.get_by_role("button", name=name, exact=True).click()


def wire(page: Page) -> Locator:
    """The frames of the pane that is open."""
    return page.locator(".pane:not([hidden]) .wire")


def frame(page: Page, who: str, name: str, direction: str) -> Locator:
    """A frame's line, the last of its kind."""
    lines = wire(page).locator(f'.frames > [data-direction="{direction}"]:visible')
    return lines.filter(has_text=re.compile(rf"{who} .*{re.escape(name)}")).last
