import time

import pytest

from realtime.operations.redaction import redact


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        ("GET /support?token=abc.def&x=1 HTTP/1.1", "GET /support?token=[removed]&x=1 HTTP/1.1"),
        ("Authorization: Bearer abc", "Authorization: [removed]"),
        ("Cookie: a=b; token=c", "Cookie: [removed]"),
        ("b'Bearer xyz'", "b'Bearer [removed]'"),
        ("Sec-WebSocket-Protocol: bearer, xyz", "Sec-WebSocket-Protocol: bearer, [removed]"),
        ('{"token": "QWERTY", "a": 1}', '{"token": [removed], "a": 1}'),
        ('{"user_password": "a\\"b", "a": 1}', '{"user_password": [removed], "a": 1}'),
        ("{'authToken': 'abc def', 'x': 1}", "{'authToken': [removed], 'x': 1}"),
        ("got eyJhbGciOi.eyJzdWIi.c2ln!", "got [removed]!"),
        ("mysql://user:p%40@w@host/db", "mysql://user:[removed]@host/db"),
        ("line one\ntoken=abc\nline three", "line one\ntoken=[removed]\nline three"),
    ],
)
def test_secrets_are_removed(line: str, clean: str) -> None:
    """What looks like a secret goes, and what stands around it stays."""
    assert redact(line) == clean


@pytest.mark.parametrize(
    "line",
    [
        "accounts: token expired",
        "2 tokens: all expired",
        "listening at tcp:8080:interface=127.0.0.1",
        "connected to postgresql://user@host:5432/name",
        "reading jwt_secret_file",
        "http://[::1]:8080/mail@example.org",
    ],
)
def test_the_rest_is_untouched(line: str) -> None:
    """A line that only speaks of such things stays as it is."""
    assert redact(line) == line


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "-",
        "token",
        "token=",
        'token="',
        "cookie",
        "cookie:'",
        "://",
        "://a:",
        "bearer ",
        "eyJ",
        "eyJ-",
        "eyJa.",
        "authorization ",
        " ",
        "\\",
        '"\\',
    ],
)
def test_time_grows_with_the_length_alone(piece: str) -> None:
    """No line that a peer can cause takes long: a hundred thousand characters, well under a second."""
    line = (piece * 100_000)[:100_000]
    before = time.process_time()
    redact(line)
    assert time.process_time() - before < 1
