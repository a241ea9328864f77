"""Clients of the five protocols, for Twisted.

Each is a class whose methods return Deferreds, which can be awaited; what a server says by itself is given to
listeners, by its type::

    from realtime.client import SupportClient, sign_in
    from realtime.client.support import Message

    async def say_hello(url: str, name: str, password: str) -> None:
        async with SupportClient(url, await sign_in(url, name, password)) as support:
            support.listen(Message, lambda message: print(message.invader_name, message.message_text))
            stored = await support.send("Hello")
            print(stored.message_id)

A connection that is lost is made again, after delays that grow; what that means for what was under way is said
in the module of each protocol, where the types of its messages are found too. What the server closes for good
(a token that is not valid, a newer connection elsewhere) ends a client, with `ConnectionEnded`.
"""

from realtime.client.client import Client, Connected, Disconnected, Ended, Options
from realtime.client.connection import Timing
from realtime.client.errors import (
    ClientError,
    ConnectionEnded,
    ConnectionLost,
    NotConnected,
    RequestFailed,
    SignInRefused,
    TooManyPending,
)
from realtime.client.market import MarketClient
from realtime.client.messenger import MessengerClient, NotDelivered
from realtime.client.reconnection import Reconnection
from realtime.client.signing_in import sign_in
from realtime.client.support import SupportClient, SupportOperator
from realtime.client.talk import TalkClient
from realtime.client.workspace import WorkspaceClient

__all__ = [
    "Client",
    "ClientError",
    "Connected",
    "ConnectionEnded",
    "ConnectionLost",
    "Disconnected",
    "Ended",
    "MarketClient",
    "MessengerClient",
    "NotConnected",
    "NotDelivered",
    "Options",
    "Reconnection",
    "RequestFailed",
    "SignInRefused",
    "SupportClient",
    "SupportOperator",
    "TalkClient",
    "Timing",
    "TooManyPending",
    "WorkspaceClient",
    "sign_in",
]
