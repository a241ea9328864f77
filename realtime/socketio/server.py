"""The Socket.IO server: an application of Engine.IO's sessions that has namespaces.

From the server's side, each line the text of a message of Engine.IO (`packets`)::

    <- 0/chat,{"token":"t"}     CONNECT
    -> 0/chat,{"sid":"…"}       it was let in; or 4/chat,{"message":"…"}
    <- 2/chat,7["say","hi"]     an event, to be acknowledged
    -> 3/chat,7[{"ok":true}]
    -> 2/chat,["said","hi"]
    <- 1/chat,                  it leaves; the session goes on

A 2.x client is connected to ``/`` by itself, whatever it wants: it has no word for that.

What the documents leave open, and what was decided:

- Events of one client are given to handlers in the order in which they came.
- A client that is in no namespace for ``connect_timeout`` seconds is closed, also after it has left the last
  one.
- What breaks the rules (a packet that is none, an event before CONNECT, CONNECT twice) closes the session. What
  comes for a namespace that we have just put the client out of breaks none, and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.closing import CloseCode
from realtime.socketio import packets
from realtime.socketio.client import Client
from realtime.socketio.deadlines import Deadlines
from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_session import Session
from realtime.socketio.namespace import LEFT_BY_CLIENT, Namespace, Refused
from realtime.socketio.packets import Assembler, Kind, Limits, Packet, PacketError
from realtime.socketio.socket import Socket
from realtime.websocket.handshake import Handshake

_COMINGS_AND_GOINGS: Final = {Kind.CONNECT, Kind.DISCONNECT}
_EVENTS: Final = {Kind.EVENT, Kind.BINARY_EVENT}


class Server:
    """Gives what the clients of ``namespaces`` send to those. It is an `engine_context.Application`.

    ``connect_timeout`` is in seconds.
    """

    _log = Logger()

    def __init__(
        self,
        namespaces: Iterable[Namespace],
        *,
        clock: IReactorTime,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        connect_timeout: float = 45.0,
    ) -> None:
        self._namespaces = {namespace.name: namespace for namespace in namespaces}
        self._limits = limits
        self._unused: Deadlines[Session] = Deadlines(
            clock, connect_timeout, lambda session, _: session.close(CloseCode.NOT_AUTHENTICATED)
        )

    # -- sessions ------------------------------------------------------------------------------

    def opened(self, session: Session, handshake: Handshake) -> None:
        """See :meth:`Application.opened`."""
        revision = 5 if session.revision == 4 else 4
        client = Client(Assembler(self._limits, revision), handshake)
        session.data = client
        self._unused.start(session)
        if revision == 4:
            if "/" in self._namespaces:
                self._join(session, client, "/", _query_of(handshake))
            else:
                client.put_out("/")  # what it says there is for nobody
                session.send(packets.connect("/", None))

    def received(self, session: Session, data: str | bytes) -> None:
        """See :meth:`Application.received`."""
        self._receive(session, data, exceeds=False)

    def exceeded(self, session: Session, data: str | bytes) -> None:
        """See :meth:`Application.exceeded`."""
        self._receive(session, data, exceeds=True)

    def ended(self, session: Session, reason: Reason) -> None:
        """See :meth:`Application.ended`."""
        self._unused.stop(session)
        client, session.data = session.data, None
        if isinstance(client, Client):
            for name, socket in list(client.joining.items()):
                self._namespaces[name].give_up(socket, is_lost=True)
            for name, socket in client.sockets():
                client.release(name, socket)
                self._namespaces[name].end(socket, reason.value)

    # -- packets -------------------------------------------------------------------------------

    def _receive(self, session: Session, data: str | bytes, *, exceeds: bool) -> None:
        client = session.data
        if not isinstance(client, Client):
            return
        try:
            packet = client.assembler.add(data)
            if packet is not None:
                self._take(session, client, packet, exceeds=exceeds)
        except PacketError:
            session.end(Reason.PARSE_ERROR, CloseCode.POLICY_VIOLATION)

    def _take(self, session: Session, client: Client, packet: Packet, *, exceeds: bool) -> None:
        kind, name = packet.kind, packet.namespace
        if exceeds and kind in _COMINGS_AND_GOINGS:
            session.close(CloseCode.TOO_MANY_REQUESTS)
            return
        if kind is Kind.CONNECT:
            self._connect(session, client, packet)
            return
        socket = client.socket(name)
        if socket is None:
            if client.was_put_out_of(name):
                return  # a DISCONNECT of ours has crossed with it on the way
            raise PacketError("a namespace that is not joined")
        namespace = self._namespaces[name]
        if kind is Kind.DISCONNECT:
            client.release(name, socket)
            namespace.end(socket, LEFT_BY_CLIENT)
            self._look(session, client)
        elif kind in _EVENTS:
            namespace.receive(socket, namespace.reader.read(packet), packet.ack_id, exceeds=exceeds)
        elif packet.ack_id is not None:
            arguments = packets.read_ack(packet, self._limits)
            if exceeds and not socket.awaits(packet.ack_id):
                session.close(CloseCode.TOO_MANY_REQUESTS)
            else:
                socket.acknowledged(packet.ack_id, arguments)

    # -- joining -------------------------------------------------------------------------------

    def _connect(self, session: Session, client: Client, packet: Packet) -> None:
        name = packet.namespace
        auth: dict[str, Any] = packets.read_connect(packet, self._limits) or {}
        if session.revision == 3:
            auth = dict(parse_qsl(packet.query, keep_blank_values=True))
            if name == "/":
                return  # it is there by itself
        if client.has(name):
            raise PacketError("CONNECT twice")
        self._join(session, client, name, auth)

    def _join(self, session: Session, client: Client, name: str, auth: dict[str, Any]) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None:
            self._refuse(session, name, Refused("Invalid namespace"))
            return
        if client.is_full:
            self._refuse(session, name, Refused("Too many namespaces"))
            return
        socket = client.joining[name] = namespace.make_socket(session, client.handshake, auth)
        self._look(session, client)
        admitted = namespace.admit(socket)
        admitted.addCallback(self._joined, socket, client, name)
        admitted.addErrback(self._not_joined, session, client, name)

    def _joined(self, _: None, socket: Socket, client: Client, name: str) -> None:
        client.joining.pop(name, None)
        client.keep(name, socket)
        if socket.leaves_with is not None:
            socket.disconnect(socket.leaves_with)

    def _not_joined(self, failure: Failure, session: Session, client: Client, name: str) -> None:
        client.joining.pop(name, None)
        if failure.check(Refused):
            self._refuse(session, name, failure.value)
            self._look(session, client)
        else:
            self._log.failure("socketio: session {session} failed", failure, session=session.number)
            session.close(CloseCode.TRY_AGAIN_LATER)

    def _refuse(self, session: Session, name: str, refused: Any) -> None:
        write = packets.connect_error if session.revision == 4 else packets.connect_error_4
        session.send(write(name, refused.message, refused.data))

    def _look(self, session: Session, client: Client) -> None:
        """Begin or end the time that a session may go unused."""
        if client.is_in_use:
            self._unused.stop(session)
        elif session.is_open and session not in self._unused:
            self._unused.start(session)


def _query_of(handshake: Handshake) -> dict[str, Any]:
    return {name: values[0] for name, values in handshake.query.items() if values}
