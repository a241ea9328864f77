"""A client of messenger for whole stories, and accounts for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.endtoend.accounts import add_user, sign_in
from tests.endtoend.client import Client, connect
from tests.endtoend.daemon import DaemonProcess

Message = dict[str, Any]


class Chatter(Client):
    """A client of messenger. It answers pings, unless it is ``dumb``."""

    dumb = False

    def onPing(self, payload: bytes) -> None:
        """Show that we live, or keep silent."""
        if not self.dumb:
            super().onPing(payload)

    def emit(self, kind: str, client_data: Any = None, **server_data: Any) -> None:
        """Send a message."""
        message: Message = {"type": kind, "serverData": server_data}
        if kind == "DIALOG_MESSAGE":
            message["clientData"] = client_data
        self.sendMessage(json.dumps(message).encode())

    def send(self, receiver: str, client_data: Any, key: str | None = None) -> None:
        """Send a dialog."""
        more = {} if key is None else {"clientMessageId": key}
        self.emit("DIALOG_MESSAGE", client_data, receiver=receiver, **more)

    async def message(self) -> Message:
        """The next message."""
        read: Message = json.loads(await self.next())
        return read

    async def expect(self, kind: str, status: str | None = None) -> Any:
        """The ``serverData``, or the error, of the next message, which is of this kind."""
        message = await self.message()
        assert (message["type"], message.get("status")) == (kind, status), message
        return message.get("error", message.get("serverData"))

    async def entered(self) -> list[str]:
        """The names of all who are there: the token was accepted."""
        body = await self.expect("AUTH_MESSAGE", "SUCCESS")
        return sorted(user["nickname"] for user in body["userList"])

    async def dialogs(self, count: int) -> list[Message]:
        """The next so many messages, which are dialogs."""
        received = [await self.message() for _ in range(count)]
        assert {message["type"] for message in received} == {"DIALOG_MESSAGE"}
        return received

    async def stored(self) -> None:
        """Wait until what was sent and confirmed before is stored: behind it, a dialog to nobody fails."""
        self.send("0", None)
        assert (await self.expect("DELIVERY_MESSAGE", "ERROR"))["receiver"] == "0"

    async def expect_end(self, code: int) -> None:
        """Nothing more comes, and the connection is closed."""
        assert await self.closed == code
        assert not self.frames, self.frames

    def cut(self) -> None:
        """Be gone without a word."""
        transport: Any = self.transport
        transport.abortConnection()


async def enter(port: int, token: str | None, *, path: str = "/messenger", dumb: bool = False) -> Chatter:
    """Connect with a token in the document's header."""
    headers = {} if token is None else {"authToken": token}
    chatter: Chatter = await connect(port, path, protocol=Chatter, headers=headers)
    chatter.dumb = dumb
    return chatter


async def add_users(folder: Path, names: Iterable[str], database_url: str = "") -> None:
    """Make accounts, each with its name as password; their ids count from 1."""
    for name in names:
        await add_user(folder, name, database_url=database_url)


async def tokens(daemon: DaemonProcess, names: Iterable[str]) -> list[str]:
    """Sign in."""
    return [await sign_in(daemon.port, name) for name in names]
