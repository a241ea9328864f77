"""``picows`` on uvloop: frames in Cython."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

waiting: dict[str, Peer] = {}
receivers: set[WSTransport] = set()


class Peer(WSListener):
    """A connection in one of the three modes."""

    def __init__(self, query: dict[str, list[str]]) -> None:
        super().__init__()
        self.query = query
        self.mode = query["mode"][0]
        self.other: Peer | None = None
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Find out what it is for."""
        self.transport = transport
        if self.mode == "relay":
            pair = self.query["pair"][0]
            self.other = waiting.pop(pair, None)
            if self.other is None:
                waiting[pair] = self
            else:
                self.other.other = self
        elif "role" in self.query:
            receivers.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Send it where it belongs."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif self.mode == "echo":
            transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())
        elif self.mode == "relay":
            if self.other is not None and self.other.transport is not None:
                self.other.transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())
        else:
            payload = frame.get_payload_as_bytes()
            for receiver in receivers:
                receiver.send(WSMsgType.TEXT, payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Leave."""
        receivers.discard(transport)


def listener(request: WSUpgradeRequest) -> Peer:
    """Make what listens to a connection."""
    return Peer(parse_qs(urlsplit(request.path.decode()).query))


async def main() -> None:
    """Serve until a signal comes."""
    server = await ws_create_server(listener, "127.0.0.1", 0, backlog=4096)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
