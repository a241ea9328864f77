"""Each example of the support document, replayed against a real daemon over a real connection.

The rows are put into the tables the document draws, by hand, as another system would.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt

from tests.documents import support as document
from tests.endtoend.client import Client, connect
from tests.endtoend.conftest import Start
from tests.endtoend.web import ask
from tests.reactor import in_reactor

CREATED = "2023-03-14 11:49:15"
"""The document's 1678794555."""


def in_one_line(drawn: str) -> str:
    """A frame of the document as it is sent."""
    return json.dumps(json.loads(drawn), separators=(",", ":"))


def insert(folder: Path, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put rows into the daemon's database."""
    with closing(sqlite3.connect(folder / "var" / "realtime.db")) as database, database:
        database.executemany(statement, rows)


def like(frame: str | bytes, drawn: str, **others: Any) -> bool:
    """Whether a frame is the one drawn, but for when the message was made and what is named."""
    expected = json.loads(drawn)
    got = json.loads(frame)
    expected["id"] = others.pop("id", expected["id"])
    message = got["result"]["message"]
    expected["result"]["message"] |= {"created": message["created"], **others}
    return json.dumps(got) == json.dumps(expected)


@in_reactor
async def test_every_example(start_daemon: Start, tmp_path: Path) -> None:
    """Sign-in, authentication with and without messages, sending, errors and pushes."""
    daemon = await start_daemon()
    password = bcrypt.hashpw(b"password1", bcrypt.gensalt(4)).decode()
    insert(
        tmp_path,
        "INSERT INTO users (id, user_name, user_password, token, is_admin) VALUES (?, ?, ?, ?, ?)",
        [
            (5, "newcomer", "", "NEWCOMER", False),
            (6, "user1", password, "QWERTYUIOP", False),
            (7, "Operator1", "", "OPERATOR", True),
        ],
    )

    signed_in = await ask(daemon.port, "/v1/auth/", method="POST", body=document.SIGN_IN_REQUEST.encode())
    assert (signed_in.status, signed_in.body.decode()) == (200, in_one_line(document.SIGN_IN_REPLY))

    newcomer: Client = await connect(daemon.port, protocol=Client)
    newcomer.sendMessage(document.AUTH_REQUEST.replace("QWERTYUIOP", "NEWCOMER").encode())
    assert await newcomer.next() == in_one_line(document.AUTH_REPLY_EMPTY)

    insert(
        tmp_path,
        "INSERT INTO messages (user_id, invader_name, message, created, is_from_support)"
        " VALUES (6, ?, ?, ?, ?)",
        [
            ("", "Message from Client", CREATED, False),
            ("Operator1", "Message from Operator", CREATED, True),
        ],
    )
    customer: Client = await connect(daemon.port, protocol=Client)
    customer.sendMessage(document.AUTH_REQUEST.encode())
    assert await customer.next() == in_one_line(document.AUTH_REPLY)
    operator: Client = await connect(daemon.port, protocol=Client)
    operator.sendMessage(document.AUTH_REQUEST.replace("QWERTYUIOP", "OPERATOR").encode())
    assert await operator.next() == in_one_line(document.AUTH_REPLY_EMPTY)

    customer.sendMessage(document.SEND_REQUEST.encode())
    assert like(await customer.next(), document.SEND_REPLY, id=1, message_text="message")
    extra = {"user_id": 6, "user_name": "user1"}
    assert like(await operator.next(), document.SEND_REPLY, id=None, message_text="message", **extra)

    operator.sendMessage(document.OPERATOR_SEND_REQUEST.encode())
    said = {"message_id": 4, "message_text": "message", "invader_name": "Operator1"}
    answered = await operator.next()
    assert like(answered, document.OPERATOR_SEND_REPLY, id=1, **said, is_from_support=True, **extra)
    assert like(await customer.next(), document.PUSH, id=None, **said)

    customer.sendMessage(document.SEND_REQUEST.replace('"message"\n', "5\n").encode())
    assert await customer.next() == in_one_line(document.INCORRECT_ARGUMENT_REPLY)
    operator.sendMessage(document.OPERATOR_SEND_REQUEST.replace('"message"\n', "5\n").encode())
    assert await operator.next() == in_one_line(document.INCORRECT_ARGUMENT_REPLY)
    await daemon.kill()
