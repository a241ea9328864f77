"""Descriptions as pages: plain HTML that needs no script, from the same documents that programs get. Pure.

Links are relative, so that a proxy may put the whole site below a path of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from realtime import __version__
from realtime.documents import fields
from realtime.documents.asyncapi import asyncapi
from realtime.documents.diagram import svg
from realtime.documents.model import (
    Asks,
    Closed,
    Description,
    Diagram,
    Direction,
    Enters,
    Hears,
    Leaves,
    Message,
    Says,
    Section,
    Step,
    Story,
)
from realtime.documents.text import inline, json_block, paragraphs

STYLE: Final = "style.css"

_HEADINGS: Final = {Direction.FROM_CLIENT: "What you send", Direction.TO_CLIENT: "What you get"}

Contents = list[tuple[str, str]]
"""What is on a page: ids and headings."""


class Pages:
    """The pages of some protocols, which are the ones that their navigation leads to."""

    def __init__(self, descriptions: Sequence[Description]) -> None:
        self._descriptions = descriptions

    def index(self) -> bytes:
        """Return the page at ``/docs/``."""
        cards = "".join(
            f'<li><a href="{each.name}"><strong>{each.name}</strong>'
            f"<span>{inline(_after_colon(each.title))}</span><code>{escape(each.address)}</code></a></li>"
            for each in self._descriptions
        )
        body = (
            "<h1>The protocols of this server</h1>"
            '<p class="lead">One server, one set of accounts, and these protocols. Each page describes every '
            "message in both directions; a test plays every example on it against a real server.</p>"
            f'<ul class="cards">{cards}<li><a href="http"><strong>HTTP</strong><span>signing in, and what the '
            "protocols offer beside their connections</span><code>/v1/…</code></a></li></ul>"
            "<h2>Begin</h2><p>Sign in for a token, which every protocol takes:</p>"
            '<pre tabindex="0"><code>curl -d \'{"user_name": "alice", "password": "…"}\' '
            "http://localhost:8080/v1/auth/</code></pre>"
            "<h2>For programs</h2><p>The same as documents, for generators and validators: AsyncAPI 3.0 for "
            "each protocol, OpenAPI 3.1 for HTTP.</p><ul>"
            + "".join(
                f'<li><a href="../asyncapi/{each.name}.yaml">asyncapi/{each.name}.yaml</a></li>'
                for each in self._descriptions
            )
            + '<li><a href="../openapi.json">openapi.json</a></li></ul>'
        )
        return self._page("Documents", "", body, [])

    def protocol(self, description: Description) -> bytes:
        """Return the page of a protocol."""
        document = asyncapi(description)
        names = {message.key: message.name for message in description.messages}
        contents: Contents = []
        body = [
            f"<h1>{inline(description.title)}</h1>",
            f'<div class="lead">{paragraphs(description.text)}</div>',
            _facts(description),
            *(_section(section, contents) for section in description.sections),
        ]
        if description.diagrams:
            body.append(_heading("states", "States", contents))
            drawn = [_states(diagram, number) for number, diagram in enumerate(description.diagrams)]
            body.append(f'<div class="diagrams">{"".join(drawn)}</div>')
        body.append(_stories(description.stories, names, contents))
        for direction, heading in _HEADINGS.items():
            body.append(_heading(f"{direction.value}-messages", heading, contents))
            body += [_message(message, names, document) for message in description.said(direction)]
        body.append(_types(document["components"]["schemas"], contents))
        body.append(_failures(description, contents))
        links = [(f"../asyncapi/{description.name}.yaml", "AsyncAPI document")]
        return self._page(description.title, description.name, "".join(body), contents, links)

    def http(self, document: dict[str, Any]) -> bytes:
        """Return the page of the HTTP side, from its OpenAPI document."""
        contents: Contents = []
        body = [
            "<h1>HTTP</h1>",
            '<p class="lead">The token stands in <code>Authorization: Bearer …</code> and nowhere else.</p>',
            '<p>A refusal has a body, but by signing in: <code>{"error": {"code", "message"}}</code>.</p>',
        ]
        for tag in document["tags"]:
            body.append(_heading(f"tag.{tag['name']}", tag["name"], contents))
            for path, item in document["paths"].items():
                body += [
                    _endpoint(method, path, operation)
                    for method, operation in item.items()
                    if method != "servers" and operation["tags"] == [tag["name"]]
                ]
        body.append(_types(document["components"]["schemas"], contents))
        return self._page("HTTP", "http", "".join(body), contents, [("../openapi.json", "OpenAPI document")])

    def _page(
        self,
        title: str,
        current: str,
        body: str,
        contents: Contents,
        links: Iterable[tuple[str, str]] = (),
    ) -> bytes:
        pages = [(each.name, each.name) for each in self._descriptions] + [("http", "HTTP")]
        entries = "".join(
            f'<li><a href="{name}"{_current(name == current)}>{escape(text)}</a></li>' for name, text in pages
        )
        inside = "".join(f'<li><a href="#{name}">{escape(text)}</a></li>' for name, text in contents)
        beside = "".join(f'<li><a href="{address}">{escape(text)}</a></li>' for address, text in links)
        aside = (
            f'<nav class="contents" aria-label="On this page"><ul>{inside}{beside}</ul></nav>' if inside else ""
        )
        html = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f'<title>{escape(title)} · realtime</title><link rel="stylesheet" href="{STYLE}"></head><body>'
            '<a class="skip" href="#main">Skip to the content</a>'
            f'<header class="top"><a class="brand" href="./"{_current(not current)}>realtime</a>'
            f'<nav aria-label="Documents"><ul>{entries}</ul></nav></header>'
            f'<div class="frame{"" if inside else " plain"}">{aside}'
            f'<main id="main" tabindex="-1">{body}</main></div>'
            f"<footer><p>realtime {__version__}</p></footer></body></html>\n"
        )
        return html.encode()


def _current(is_current: bool) -> str:
    return ' aria-current="page"' if is_current else ""


def _after_colon(title: str) -> str:
    return title.partition(": ")[2] or title


def _heading(name: str, text: str, contents: Contents) -> str:
    contents.append((name, text))
    return f'<h2 id="{escape(name)}">{escape(text)}</h2>'


def _facts(description: Description) -> str:
    where = f"<code>{escape(description.address)}</code>"
    if description.namespace:
        where += f", namespace <code>{escape(description.namespace)}</code>"
    tokens = "".join(f"<li>{inline(each.scheme['description'])}</li>" for each in description.credentials)
    token = (
        f"<dt>Token</dt><dd><ul>{tokens}</ul></dd>"
        if tokens
        else "<dt>Token</dt><dd>In <code>auth</code>.</dd>"
    )
    transport = "Socket.IO" if description.namespace else "WebSocket"
    return f'<dl class="facts"><dt>{transport}</dt><dd>{where}</dd>{token}</dl>'


def _section(section: Section, contents: Contents) -> str:
    name = section.title.lower().replace(" ", "-")
    return (
        _heading(name, section.title, contents)
        + paragraphs(section.text)
        + _table(section.columns, section.rows)
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    if not columns:
        return ""
    head = "".join(f'<th scope="col">{inline(each)}</th>' for each in columns)
    body = "".join(f"<tr>{''.join(f'<td>{inline(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return _scrolled(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _scrolled(inner: str) -> str:
    """Return what may be too wide for a narrow screen, and can be scrolled there by the keyboard too."""
    return f'<div class="scroll" tabindex="0">{inner}</div>'


def _states(diagram: Diagram, number: int) -> str:
    lines = "".join(
        f"<li><b>{escape(each.source)}</b> to <b>{escape(each.target)}</b>: {escape(each.label)}</li>"
        for each in diagram.transitions
    )
    return (
        f"<figure><figcaption>{escape(diagram.title)}</figcaption>"
        f"{_scrolled(svg(diagram, f'states-{number}'))}"
        f"<details><summary>As a list</summary><ul>{lines}</ul></details></figure>"
    )


def _stories(stories: Iterable[Story], names: Mapping[str, str], contents: Contents) -> str:
    told = [
        f"<details{' open' if number == 0 else ''}><summary>{escape(story.title)}</summary>"
        f'<ol class="story">{"".join(_step(step, names) for step in story.steps)}</ol></details>'
        for number, story in enumerate(stories)
    ]
    return _heading("stories", "Conversations", contents) + "".join(told)


def _step(step: Step, names: Mapping[str, str]) -> str:
    who = f"<b>{escape(step.who)}</b>"
    match step:
        case Enters():
            return f'<li class="note">{who} connects</li>'
        case Leaves():
            return f'<li class="note">{who} leaves</li>'
        case Closed():
            code = int(step.code)
            return f'<li class="note">{who} is closed with <a href="#close.{code}">{code}</a></li>'
        case Says() | Hears():
            side, verb = ("out", "sends") if isinstance(step, Says) else ("in", "gets")
            head = f"{who} {verb} {_named(step.key, names)}{_aside(step.text)}"
            return f'<li class="{side}"><p>{head}</p>{json_block(step.payload)}</li>'
        case Asks():
            answer = "" if step.answer is None else json_block(step.answer)
            body = "" if step.body is None else json_block(step.body)
            return (
                f'<li class="out"><p>{who} asks <a href="http#{_anchor(step.endpoint)}">'
                f"{escape(step.endpoint)}</a>{_aside(step.text)}</p>{body}"
                f"<p>Answered with {step.status}.</p>{answer}</li>"
            )


def _named(key: str, names: Mapping[str, str]) -> str:
    return f'<a href="#{escape(key)}">{escape(names[key])}</a>'


def _aside(text: str) -> str:
    return f' <span class="aside">{inline(text)}</span>' if text else ""


def _message(message: Message, names: Mapping[str, str], document: dict[str, Any]) -> str:
    told = document["components"]["messages"][message.key]
    opcode = "" if message.opcode is None else f' <code class="opcode">0x{message.opcode:02X}</code>'
    mark = ' <small class="extension">extension</small>' if message.extension else ""
    replies = ", ".join(_named(key, names) for key in message.replies)
    examples = "".join(
        f"<h4>{inline(each['summary'])}</h4>{json_block(each['payload'])}" for each in told.get("examples", [])
    )
    return (
        f'<article class="message {message.direction.value}" id="{escape(message.key)}">'
        f'<h3><a href="#{escape(message.key)}">{escape(message.name)}</a>{opcode}{mark}</h3>'
        f"<p>{inline(message.summary)}</p>{paragraphs(message.description)}"
        f"{fields.table(told['payload'], f'Fields of {message.name}', document['components']['schemas'])}"
        f"{f'<p class=replies>Answered by {replies}.</p>' if replies else ''}"
        f"{f'<details><summary>Examples</summary>{examples}</details>' if examples else ''}</article>"
    )


def _types(schemas: dict[str, Any], contents: Contents) -> str:
    parts = [_heading("types", "Types", contents)]
    for name, schema in schemas.items():
        anchor, text = f"type.{escape(name)}", paragraphs(schema.get("description", ""))
        parts.append(
            f'<article class="message type" id="{anchor}"><h3><a href="#{anchor}">{escape(name)}</a></h3>'
            f"{text}{fields.table(schema, f'Fields of {name}')}</article>"
        )
    return "".join(parts)


def _failures(description: Description, contents: Contents) -> str:
    errors = [
        (f"`{each.code}`", each.text, "" if each.close is None else str(int(each.close)))
        for each in description.errors
    ]
    with_closes = any(close for *_, close in errors)
    columns = ("code", "meaning", "closed with") if with_closes else ("code", "meaning")
    closes = "".join(
        f'<tr id="close.{int(code)}"><th scope="row">{int(code)}</th><td>{inline(meaning)}</td>'
        f"<td>{'come back' if code.retry else 'change something first'}</td></tr>"
        for code, meaning in sorted(description.closes.items())
    )
    return (
        _heading("errors", "Errors", contents)
        + _table(columns, [row[: len(columns)] for row in errors])
        + _heading("closes", "Close codes", contents)
        + _scrolled(
            '<table><thead><tr><th scope="col">code</th><th scope="col">why</th><th scope="col">then</th></tr>'
            f"</thead><tbody>{closes}</tbody></table>"
        )
    )


def _anchor(endpoint: str) -> str:
    return escape(endpoint.replace(" ", ".").replace("/", "-").replace("{", "").replace("}", ""))


def _endpoint(method: str, path: str, operation: dict[str, Any]) -> str:
    name = _anchor(f"{method.upper()} {path}")
    parameters = [
        (f"`{each['name']}`", each["in"], each["description"]) for each in operation.get("parameters", [])
    ]
    body = ""
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        body = f"<h4>Body</h4>{fields.table(content['schema'], 'The body')}{_examples(content)}"
    answers = "".join(_answer(status, each) for status, each in operation["responses"].items())
    return (
        f'<article class="message" id="{name}"><h3><a href="#{name}"><b class="method">{method.upper()}</b> '
        f"{escape(path)}</a></h3><p>{inline(operation['summary'])}</p>"
        f"{paragraphs(operation.get('description', ''))}"
        f"{_table(('parameter', 'in', 'meaning'), parameters) if parameters else ''}{body}"
        f'<h4>Answers</h4><dl class="answers">{answers}</dl></article>'
    )


def _answer(status: str, response: dict[str, Any]) -> str:
    shown = ""
    for content in response.get("content", {}).values():
        if "schema" in content and status < "400":
            shown = f"{fields.table(content['schema'], f'The body of {status}')}{_examples(content)}"
    return f"<dt>{status}</dt><dd>{inline(response['description'])}{shown}</dd>"


def _examples(content: dict[str, Any]) -> str:
    return "".join(json_block(each["value"]) for each in content.get("examples", {}).values())
