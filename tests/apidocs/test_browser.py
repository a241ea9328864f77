"""The pages in a browser: nothing is missing, nothing is refused, everybody can read them."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import chromium as chromium
from tests.browser.conftest import stage as stage
from tests.browser.conftest import start_daemon as start_daemon
from tests.browser.stage import Screen, Stage, on_both_screens, story


@on_both_screens
@story
def test_documents(stage: Stage, screen: Screen) -> None:
    """From the first page to another; in the light on one screen, in the dark on the other."""
    daemon = stage.start()
    scheme, name, title = (
        ("dark", "talk", "talk: strangers matched by score") if screen.phone else ("light", "HTTP", "HTTP")
    )
    page = stage.visit(f"http://127.0.0.1:{daemon.port}/docs", screen, color_scheme=scheme)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("The protocols of this server")
    stage.check_accessibility(page)
    stage.check_fits(page)
    page.get_by_role("navigation", name="Documents").get_by_role("link", name=name).click()
    expect(heading).to_have_text(title)
    stage.check_accessibility(page)
    stage.check_fits(page)
    stage.picture(page, name)
