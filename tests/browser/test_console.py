"""The operators' console: a day at the desk, at a screen and at a phone, with one operator and with two."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect
from twisted.internet.defer import maybeDeferred

from tests.browser.stage import DESKTOP, PHONE, Screen, Stage, on_both_screens, story
from tests.endtoend.client import Client, SupportClient, connect
from tests.endtoend.daemon import DaemonProcess


class Customer:
    """Somebody who needs help, with a client of another make."""

    def __init__(self, stage: Stage, daemon: DaemonProcess, name: str) -> None:
        self._stage = stage
        self._client: SupportClient = stage.wait(lambda: connect(daemon.port))
        self._ask("message.auth", stage.token(daemon, name))

    def say(self, *texts: str) -> None:
        """Say something."""
        for text in texts:
            self._ask("message.send", text)

    @property
    def heard(self) -> list[str]:
        """What operators have said to it since it is here."""
        return [message["message_text"] for message in self._client.pushed]

    def _ask(self, method: str, *params: Any) -> Any:
        answer = self._stage.wait(lambda: self._client.request(method, *params))
        assert answer["error"] is None, answer
        return answer["result"]


def sign_in(page: Page, name: str = "operator") -> None:
    """Sign in as an operator."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password").fill(name)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Connected")


def console(stage: Stage, daemon: DaemonProcess, screen: Screen = DESKTOP, **context: Any) -> Page:
    """Open the console."""
    return stage.visit(f"http://127.0.0.1:{daemon.port}/console/", screen, **context)


def answer(page: Page, text: str) -> None:
    """Answer whoever is open."""
    page.get_by_label("Your answer").fill(text)
    page.keyboard.press("Enter")


@on_both_screens
@story
def test_day(stage: Stage, screen: Screen) -> None:
    """Sign in, see who has written, answer, take, return; the customer hears it at once."""
    daemon = stage.start()
    alice, bob = Customer(stage, daemon, "alice"), Customer(stage, daemon, "bob")
    alice.say("Hello?", "<b>My order</b> is late")
    bob.say("Do you sell teapots?")
    page = console(stage, daemon, screen, color_scheme="light")
    stage.check_accessibility(page)
    page.get_by_role("button", name="Sign in as the demo operator").click()
    lines = page.locator("#list button")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("bob")
    expect(page).to_have_title("(3) Operators")
    stage.check_accessibility(page)
    stage.check_fits(page)
    stage.picture(page, f"list-{screen.name}")

    lines.nth(1).click()
    expect(page.get_by_role("log")).to_contain_text("<b>My order</b> is late")
    expect(page).to_have_title("(1) Operators")
    answer(page, "Let me look")
    expect(page.locator("#log [data-own]").first).to_contain_text("operator")
    page.get_by_role("button", name="Take", exact=True).click()
    expect(page.locator("#holder")).to_have_text("You have it")
    alice.say("Thank you")
    expect(page.get_by_role("log")).to_contain_text("Thank you")
    assert alice.heard == ["Let me look"]
    page.get_by_role("button", name="Return", exact=True).click()
    expect(page.locator("#holder")).to_have_text("Nobody has it")
    stage.check_accessibility(page)
    stage.check_fits(page)
    stage.picture(page, f"thread-{screen.name}")
    if screen is PHONE:
        page.get_by_role("button", name="Back to the list").click()
        expect(lines.first).to_contain_text("Thank you")


@story
def test_two_operators(stage: Stage) -> None:
    """What one takes and reads is shown to the other; so is what nobody has taken."""
    daemon = stage.start()
    stage.add_user("olga", "--admin")
    alice = Customer(stage, daemon, "alice")
    alice.say("Hello?")
    one, two = console(stage, daemon), console(stage, daemon, color_scheme="dark")
    sign_in(one)
    sign_in(two, "olga")
    line = two.locator("#list button").first
    expect(line.locator(".badge")).to_have_text("1")
    one.locator("#list button").first.click()
    expect(line.locator(".badge")).to_be_hidden()
    one.get_by_role("button", name="Take", exact=True).click()
    expect(line).to_contain_text("taken")
    two.get_by_role("button", name="Mine").click()
    expect(two.locator("#empty")).to_have_text("None like that.")
    two.get_by_role("button", name="All").click()
    line.click()
    expect(two.locator("#holder")).to_have_text("Another operator has it")
    two.get_by_role("button", name="Take", exact=True).click()
    expect(one.locator("#holder")).to_have_text("Another operator has it")
    stage.check_accessibility(two)
    stage.picture(two, "dark")


@story
def test_outage(stage: Stage) -> None:
    """The server is killed while somebody types: nothing typed is lost, what is said is said once."""
    daemon = stage.start()
    alice = Customer(stage, daemon, "alice")
    alice.say("Hello?")
    page = console(stage, daemon)
    sign_in(page)
    page.locator("#list button").first.click()
    page.get_by_label("Your answer").fill("I am about to")
    stage.kill(daemon)
    expect(page.get_by_role("status")).to_have_text("Connection lost")
    expect(page.locator("#countdown")).to_contain_text("again in")
    page.keyboard.press("End")
    page.keyboard.type(" answer")
    page.keyboard.press("Enter")
    expect(page.locator("#log [data-unsent]")).to_contain_text("waits for the connection")
    page.get_by_label("Your answer").fill("And this is a draft")
    stage.picture(page, "lost")
    daemon = stage.restart(daemon)
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("status")).to_have_text("Connected")
    expect(page.locator("#log [data-own]:not([data-unsent])")).to_have_count(1)
    expect(page.locator("#log [data-unsent]")).to_have_count(0)
    expect(page.get_by_label("Your answer")).to_have_value("And this is a draft")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("Connected")
    page.locator("#list button").first.click()
    expect(page.get_by_label("Your answer")).to_have_value("And this is a draft")
    expect(page.locator("#log [data-own]")).to_have_count(1)


@story
def test_history(stage: Stage) -> None:
    """Older messages come as one scrolls up, and what one reads stays where it is."""
    daemon = stage.start(environment={"REALTIME_LIMITS_MESSAGES_PER_SECOND": "10000"})
    alice = Customer(stage, daemon, "alice")
    alice.say(*(f"Number {number}." for number in range(150)))
    page = console(stage, daemon)
    sign_in(page)
    page.locator("#list button").first.click()
    log = page.get_by_role("log")
    expect(log.get_by_text("Number 149.")).to_be_in_viewport()
    expect(log.locator(".message")).to_have_count(60)
    log.evaluate("(log) => log.scrollTo(0, 0)")
    expect(log.locator(".message")).to_have_count(120)
    expect(log.get_by_text("Number 90.", exact=True)).to_be_in_viewport()
    alice.say("Still there?")
    expect(page.get_by_role("button", name="Newer messages")).to_be_visible()
    expect(log.get_by_text("Number 90.", exact=True)).to_be_in_viewport()
    page.get_by_role("button", name="Newer messages").click()
    expect(log.get_by_text("Still there?")).to_be_in_viewport()
    texts = log.locator(".message .words").all_inner_texts()
    assert texts == [*(f"Number {number}." for number in range(30, 150)), "Still there?"]
    expect(log.locator(".day")).to_have_count(1)


@story
def test_keys(stage: Stage) -> None:
    """Everything can be done without a mouse."""
    daemon = stage.start()
    for name in ("alice", "bob"):
        Customer(stage, daemon, name).say(f"I am {name}")
    page = console(stage, daemon)
    sign_in(page)
    expect(page.locator("#list button")).to_have_count(2)
    page.locator("body").press("j")
    expect(page.locator("#who")).to_have_text("bob")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("#who")).to_have_text("bob")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    stage.check_accessibility(page)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("ali")
    expect(page.locator("#list button:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("#who")).to_have_text("alice")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+j")  # is the browser's
    expect(page.locator("#nobody")).to_be_visible()
    page.keyboard.press("k")
    page.keyboard.press("a")
    page.keyboard.type("Hello alice")  # before what was said is there
    page.keyboard.press("Enter")
    expect(page.locator("#log [data-own]")).to_contain_text("Hello alice")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.locator("#holder")).to_have_text("You have it")
    page.keyboard.press("r")
    expect(page.locator("#holder")).to_have_text("Nobody has it")


@story
def test_reports(stage: Stage) -> None:
    """What users of the market have reported is shown, and resolved."""
    daemon = stage.start()
    reporter: Client = stage.wait(
        lambda: connect(
            daemon.port,
            "/market",
            protocol=Client,
            subprotocols=["market.json"],
            headers={"Authorization": f"Bearer {stage.token(daemon, 'alice')}"},
        )
    )
    stage.wait(lambda: maybeDeferred(reporter.sendMessage, b'{"type": 255, "data": "He is rude"}'))
    page = console(stage, daemon)
    sign_in(page)
    page.get_by_role("tab", name="Reports").click()
    expect(page.locator("#report-list")).to_contain_text("He is rude")
    stage.check_accessibility(page)
    stage.picture(page, "open")
    page.get_by_role("button", name="Resolve", exact=True).click()
    expect(page.get_by_role("button", name="Resolved")).to_be_disabled()
    page.get_by_role("tab", name="Conversations").press("ArrowRight")
    expect(page.get_by_text("Nothing is reported.")).to_be_visible()


@story
def test_strangers(stage: Stage) -> None:
    """Who is no operator is told so; a wrong password too."""
    daemon = stage.start()
    stage.expected.append("status of 403")
    page = console(stage, daemon)
    page.get_by_label("Name", exact=True).fill("alice")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Wrong name or password.")
    page.get_by_label("Password").fill("alice")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#sign-in-why")).to_have_text("This account is no operator’s.")
