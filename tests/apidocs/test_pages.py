"""The pages: whole HTML, whose links lead somewhere, and which load nothing."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.documents.diagram import svg
from realtime.documents.fields import table, type_of
from realtime.documents.model import Diagram, Transition
from realtime.documents.pages import Pages
from realtime.documents.text import inline, json_block, paragraphs
from realtime.protocols.documents import DESCRIBED, describe, openapi_of

_EMPTY = {"meta", "link", "path", "rect"}


class _Page(HTMLParser):
    """A page taken apart; whoever leaves an element open, or closes another, fails."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html.decode())
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what it has."""
        named = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(named)
        if "id" in named:
            self.ids.append(str(named["id"]))
        for name in ("href", "src", "action"):
            if name in named:
                self.links.append(str(named[name]))
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As `handle_starttag`, with nothing inside."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """It must be the one that was opened last."""
        if tag not in _EMPTY:
            assert self.open.pop() == tag, tag


@cache
def _all_pages() -> dict[str, _Page]:
    descriptions = describe(DESCRIBED)
    pages = Pages(descriptions)
    return {
        "": _Page(pages.index()),
        "http": _Page(pages.http(openapi_of(descriptions))),
        **{each.name: _Page(pages.protocol(each)) for each in descriptions},
    }


class PagesTests(SynchronousTestCase):
    """All pages of a server with all protocols."""

    def setUp(self) -> None:
        """Make them."""
        self.pages = _all_pages()

    def test_links(self) -> None:
        """Each leads to a page, a document, or a place on a page that there is."""
        for name, page in self.pages.items():
            self.assertEqual(len(page.ids), len(set(page.ids)), name)
            for link in page.links:
                target, _, place = link.partition("#")
                if target in (
                    "../openapi.json",
                    "style.css",
                    *(f"../asyncapi/{each}.yaml" for each in DESCRIBED),
                ):
                    continue
                other = page if not target else self.pages["" if target == "./" else target]
                self.assertTrue(not place or place in other.ids, f"{name}: {link}")

    def test_nothing_is_run(self) -> None:
        """There are no scripts, no styles of elements' own, and nothing from elsewhere."""
        for page in self.pages.values():
            self.assertEqual({"script", "style", "iframe", "img", "form"} & set(page.tags), set())
            self.assertEqual(
                {each for each in page.attributes if each.startswith("on") or each == "style"}, set()
            )
            self.assertFalse([link for link in page.links if ":" in link])

    def test_landmarks(self) -> None:
        """Each has one main, one first heading, and a way past the navigation."""
        for page in self.pages.values():
            self.assertEqual((page.tags.count("main"), page.tags.count("h1")), (1, 1))
            self.assertIn("#main", page.links)
            self.assertIn("main", page.ids)

    def test_headings(self) -> None:
        """No level is left out on the way down."""
        for name, page in self.pages.items():
            levels = [int(tag[1]) for tag in page.tags if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit()]
            steps = [(one, other) for one, other in pairwise(levels) if other > one + 1]
            self.assertEqual(steps, [], name)

    def test_every_message_is_there(self) -> None:
        """Each message of a protocol has its place."""
        for description in describe(DESCRIBED):
            keys = {message.key for message in description.messages}
            self.assertLessEqual(keys, set(self.pages[description.name].ids))


class PartsTests(SynchronousTestCase):
    """What pages are made of."""

    def test_text(self) -> None:
        """Code, paragraphs and lists are marked; nothing else is HTML."""
        self.assertEqual(inline("`<a>` & <b>"), "<code>&lt;a&gt;</code> &amp; &lt;b&gt;")
        self.assertEqual(paragraphs("one\ntwo\n\n- a\n- b"), "<p>one two</p><ul><li>a</li><li>b</li></ul>")
        self.assertEqual(paragraphs(""), "")

    def test_json(self) -> None:
        """Its parts are marked, and text in it is text."""
        block = json_block({"a<b": ["x & y", 1, None, '"']})
        self.assertIn('<span class="j-key">"a&lt;b"</span>', block)
        self.assertIn('<span class="j-string">"x &amp; y"</span>', block)
        self.assertIn('<span class="j-number">1</span>', block)
        self.assertIn('<span class="j-word">null</span>', block)
        self.assertIn(r'<span class="j-string">"\""</span>', block)

    def test_types(self) -> None:
        """What a schema allows, in words."""
        cases: dict[str, Any] = {
            "anything": {},
            "text, 1 to 4\N{NARROW NO-BREAK SPACE}000 characters": {
                "type": "string",
                "minLength": 1,
                "maxLength": 4000,
            },
            "integer, 64 bits": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            "integer, from 1": {"type": "integer", "minimum": 1},
            "text or null": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "list of text, at most 20": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
            "<code>[token?]</code>": {"type": "array", "items": [{"title": "token"}], "minItems": 0},
            "<code>&lt;x&gt;</code>".replace("&lt;x&gt;", '"&lt;x&gt;"'): {"const": "<x>"},
            '<a href="#type.Find">Find</a>': {"$ref": "#/components/schemas/Find"},
        }
        for expected, schema in cases.items():
            self.assertEqual(type_of(schema), expected)

    def test_fields(self) -> None:
        """Fields within fields have their path; those of a type are shown if the type is known."""
        schema = {
            "type": "object",
            "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "null"}}},
                "c": {"$ref": "#/x/C"},
            },
            "required": ["a"],
        }
        drawn = table(schema, "Fields", {"C": {"properties": {"d": {"type": "boolean"}}}})
        self.assertIn("<code>a.b</code>", drawn)
        self.assertIn('<code>c</code> <small class="optional">optional</small>', drawn)
        self.assertIn("<code>c.d</code>", drawn)
        self.assertNotIn("notes", drawn)
        self.assertNotIn("c.d", table(schema, "Fields"))

    def test_diagram(self) -> None:
        """Each state is a box; each transition an arrow of its kind; one reason is one label."""
        states = ("a", "b", "c")
        ways = [
            ("a", "b", "on"),
            ("b", "b", "again"),
            ("a", "c", "end"),
            ("b", "c", "near"),
            ("c", "a", "<back>"),
        ]
        drawn = svg(Diagram("It", states, tuple(Transition(*way) for way in ways)), "x")
        self.assertEqual(drawn.count("<rect"), 3)
        self.assertEqual(drawn.count('class="arrow"'), 5)
        self.assertEqual(drawn.count('class="label"'), 5)
        self.assertIn("&lt;back&gt;", drawn)
        merged = svg(
            Diagram("It", (*states, "d"), (Transition("a", "d", "lost"), Transition("b", "d", "lost"))), "x"
        )
        self.assertEqual((merged.count('class="arrow"'), merged.count('class="label"')), (2, 1))
