"""Autobahn as it comes, under the reactor that twistd would choose."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor


class Peer(WebSocketServerProtocol):
    """A connection in one of the three modes."""

    def onConnect(self, request: Any) -> None:
        """Find out what it is for."""
        self.mode = request.params["mode"][0]
        self.other: Peer | None = None
        if self.mode == "relay":
            pair = request.params["pair"][0]
            self.other = self.factory.waiting.pop(pair, None)
            if self.other is None:
                self.factory.waiting[pair] = self
            else:
                self.other.other = self
        elif "role" in request.params:
            self.factory.receivers.add(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it where it belongs."""
        if self.mode == "echo":
            self.sendMessage(payload, isBinary)
        elif self.mode == "relay":
            if self.other is not None:
                self.other.sendMessage(payload, isBinary)
        else:
            prepared = self.factory.prepareMessage(payload, isBinary)
            for receiver in self.factory.receivers:
                receiver.sendPreparedMessage(prepared)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Leave."""
        self.factory.receivers.discard(self)


def main() -> None:
    """Serve until a signal comes."""
    clock: Any = reactor
    factory: Any = WebSocketServerFactory()
    factory.protocol = Peer
    factory.waiting, factory.receivers = {}, set()
    port = clock.listenTCP(0, factory, backlog=4096, interface="127.0.0.1")
    print(f"listening on {port.getHost().port}", flush=True)
    clock.run()


if __name__ == "__main__":
    main()
