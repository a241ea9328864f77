"""Each example of the messenger document, replayed against a real daemon: keys and values are as drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.documents import messenger as document
from tests.endtoend.conftest import Start
from tests.messenger.images import encoded, picture
from tests.reactor import in_reactor
from tests.scenarios.messenger_client import Chatter, Message, add_users, enter, tokens


def shape(value: Any) -> Any:
    """A message with "String" for each text, and one element for each list."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        shapes = [shape(each) for each in value]
        assert all(each == shapes[0] for each in shapes)
        return shapes[:1]
    assert isinstance(value, str), "every value is drawn as a text"
    return "String"


def drawn(example: str, *, without: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> Any:
    """The shape of an example, but for what is left out of its ``serverData`` or goes beyond the document."""
    message = json.loads(example)
    for name in without:
        del message["serverData"][name]
    for name in also:
        message["serverData"][name] = "String"
    return shape(message)


def filled_in(example: str, **server_data: str) -> bytes:
    """An example as it is sent, with values."""
    message = json.loads(example)
    message["serverData"] |= server_data
    return json.dumps(message).encode()


async def like(client: Chatter, expected: Any) -> Message:
    """The next message, which has this shape."""
    message = await client.message()
    assert shape(message) == expected, message
    return message


@in_reactor
async def test_every_example(start_daemon: Start, tmp_path: Path) -> None:
    """Authentication, the room, a dialog and its receipts, presence, pictures."""
    await add_users(tmp_path, ("alice", "bob"))
    daemon = await start_daemon()
    for_alice, for_bob = await tokens(daemon, ("alice", "bob"))

    alice = await enter(daemon.port, for_alice)
    entered = await like(alice, drawn(document.AUTH_SUCCESS))
    assert (entered["type"], entered["status"]) == ("AUTH_MESSAGE", "SUCCESS")
    for token, code in (("wrong", document.TOKEN_INVALID), (for_alice, document.ALREADY_CONNECTED)):
        refused = await enter(daemon.port, token)
        error = await like(refused, drawn(document.AUTH_ERROR))
        assert (error["type"], error["status"], error["error"]["errorCode"]) == ("AUTH_MESSAGE", "ERROR", code)

    bob = await enter(daemon.port, for_bob)
    await like(bob, drawn(document.AUTH_SUCCESS))
    came = await like(alice, drawn(document.USER_CONNECTION))
    assert (came["type"], came["serverData"]["connectionStatus"]) == ("USER_CONNECTION_MESSAGE", "CONNECT")

    alice.sendMessage(filled_in(document.SAY))
    for each in (alice, bob):
        said = await like(each, drawn(document.SAID))
        assert (said["type"], said["serverData"]["sender"]) == ("CHAT_MESSAGE", "1")

    alice.sendMessage(filled_in(document.SEND, receiver="2"))
    dialog = await like(bob, drawn(document.DIALOG))
    assert (dialog["type"], dialog["clientData"]) == ("DIALOG_MESSAGE", {"message": "String"})
    delivered = await like(alice, drawn(document.DELIVERED, also=("receiver",)))
    assert (delivered["type"], delivered["status"]) == ("DELIVERY_MESSAGE", "SUCCESS")
    assert delivered["serverData"]["messageId"] == dialog["serverData"]["messageId"]
    alice.sendMessage(filled_in(document.SEND, receiver="3"))
    failed = await like(alice, drawn(document.NOT_DELIVERED, also=("receiver",)))
    assert (failed["type"], failed["status"]) == ("DELIVERY_MESSAGE", "ERROR")

    alice.sendMessage(filled_in(document.SAVE_AVATAR))
    not_saved = await like(alice, drawn(document.AVATAR_NOT_SAVED))
    assert (not_saved["type"], not_saved["status"]) == ("SAVE_AVATAR", "ERROR")
    large = encoded(picture() + bytes(524_288))
    alice.sendMessage(filled_in(document.SAVE_AVATAR, imageBase64=large))
    too_large = await like(alice, drawn(document.AVATAR_NOT_SAVED))
    assert too_large["error"]["errorCode"] == document.PICTURE_TOO_LARGE
    alice.sendMessage(filled_in(document.SAVE_AVATAR, imageBase64=encoded(picture())))
    assert await alice.message() == json.loads(document.AVATAR_SAVED)
    await like(bob, drawn(document.USER_CONNECTION))

    alice.sendClose(1000)
    went = await like(bob, drawn(document.USER_CONNECTION, without=document.NOT_WITH_DISCONNECT))
    assert went["serverData"]["connectionStatus"] == "DISCONNECT"
