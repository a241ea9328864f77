"""Rooms: connections that are told the same.

A frame for a room is built once. What a room says in one turn of the reactor is joined once, and every
member is handed the same bytes (see `outgoing.Batch`): eight messages to a thousand members are a thousand
writes, not eight thousand, and no thousand joins.

Each member gets the room's frames, those of its other rooms and what is sent to it alone in the order in
which they were sent. A batch is added to for as long as nothing else has been sent to any of its members,
and nobody has come or gone; then the next frame begins a new one.
"""

from __future__ import annotations

from collections.abc import Iterator

from realtime.operations.metrics import Tally
from realtime.websocket.connection import Connection
from realtime.websocket.outgoing import Batch, Outgoing


class Room:
    """Some of the open connections of one protocol. ``sent`` counts messages, once for each receiver.

    A connection leaves before, or at the latest when, it is told that it has ended: in ``ended``.
    """

    __slots__ = ("_batch", "_members", "_sent", "_waiting")

    def __init__(self, sent: Tally) -> None:
        self._sent = sent
        self._members: dict[Connection, None] = {}
        self._batch: Batch | None = None
        self._waiting: list[Outgoing] = []  # those of the batch's time that are not in it: slow readers

    def join(self, connection: Connection) -> None:
        """Take in an open connection; it gets what is sent from now on."""
        self._members[connection] = None
        self._batch = None

    def leave(self, connection: Connection) -> None:
        """Let go of a connection, if it is here; it gets nothing that is sent from now on."""
        if connection in self._members:
            del self._members[connection]
            self._batch = None

    def send_frame(self, frame: bytes) -> None:
        """Send a frame built by ``frames`` to all members. It goes out uncompressed."""
        if self._batch is not None and self._batch.is_open:
            self._batch.add(frame)
        else:
            self._begin(frame)
        for outgoing in self._waiting:
            outgoing.write(frame)
        self._sent.count += len(self._members)

    def _begin(self, frame: bytes) -> None:
        batch = Batch(frame)
        waiting = []
        for connection in self._members:
            outgoing = connection.outgoing
            if outgoing is not None and not outgoing.take(batch):
                waiting.append(outgoing)
        # One that nobody took would be open for ever: the first to write it closes it.
        self._batch = batch if len(waiting) < len(self._members) else None
        self._waiting = waiting

    def __contains__(self, connection: object) -> bool:
        return connection in self._members

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._members))

    def __len__(self) -> int:
        return len(self._members)
