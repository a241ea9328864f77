"""The ground under every page: what its policy stops, and that no story overlooks it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.stage import Stage, story

_WRONGS = {
    "style-src": """() => {
      const style = document.createElement('style')
      style.textContent = 'body { color: red }'
      document.head.append(style)
    }""",
    "Trusted(HTML|Script)": """() => {
      let stopped = 0
      try { document.body.innerHTML = '<b>text</b>' } catch { stopped++ }
      try { document.body.insertAdjacentHTML('beforeend', '<b>text</b>') } catch { stopped++ }
      try { document.createElement('script').textContent = 'alert(1)' } catch { stopped++ }
      if (stopped !== 3) throw new Error(`${stopped} stopped`)
    }""",
    "connect-src|Fetch API": "() => fetch('http://127.0.0.1:9/').catch(() => {})",
    "img-src": """() => new Promise((resolve) => {
      const image = new Image()
      image.onerror = resolve
      image.src = 'http://127.0.0.1:9/a.png'
    })""",
}
"""What no page may do, by what the browser says of it."""


@story
def test_policy(stage: Stage) -> None:
    """The browser stops what the policy does not allow, and says so: a story where that happens fails."""
    daemon = stage.start()
    for path in ("", "console/"):
        page = stage.visit(f"http://127.0.0.1:{daemon.port}/{path}")
        expect(page.locator("h1").first).to_be_attached()
        assert not stage.faults
        for said, wrong in _WRONGS.items():
            page.evaluate(wrong)
            page.wait_for_timeout(100)  # what is said of it comes by itself
            assert stage.faults, said
            stage.expected.append(said)
            assert not stage.faults
        stage.expected.clear()
        stage.forget()
