"""The marks of descriptions as HTML: `` `code` ``, paragraphs, lists; and JSON with its parts marked. Pure."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Final

_CODE: Final = re.compile(r"`([^`]+)`")
_TOKENS: Final = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)'
    r"|(?P<word>true|false|null)"
)
_WIDTH: Final = 76
"""Characters of JSON that stand in one line."""
_FITTING: Final = 24
"""Characters that fit on the narrowest screen."""


def inline(text: str) -> str:
    """Return a line as HTML."""
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))


def paragraphs(text: str) -> str:
    """Return a text as HTML."""
    return "".join(map(_paragraph, filter(None, text.split("\n\n"))))


def _paragraph(text: str) -> str:
    lines = text.split("\n")
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{inline(line[2:])}</li>' for line in lines)}</ul>"
    return f"<p>{inline(' '.join(lines))}</p>"


def json_block(value: Any) -> str:
    """Return JSON as a block of code, in one line if it is short.

    One that may have to be scrolled takes the focus.
    """
    drawn = _drawn(value)
    is_wide = max(map(len, drawn.split("\n"))) > _FITTING
    return f"<pre{' tabindex=0' if is_wide else ''}><code>{_marked(drawn)}</code></pre>"


def _drawn(value: Any) -> str:
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= _WIDTH else json.dumps(value, ensure_ascii=False, indent=2)


def _marked(text: str) -> str:
    parts: list[str] = []
    end = 0
    for found in _TOKENS.finditer(text):
        parts.append(escape(text[end : found.start()], quote=False))
        parts.append(f'<span class="j-{found.lastgroup}">{escape(found.group(), quote=False)}</span>')
        end = found.end()
    return "".join(parts) + escape(text[end:], quote=False)
