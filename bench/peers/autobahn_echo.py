"""Echo on Autobahn as it comes, under the reactor that twistd would choose; prints its port."""

from __future__ import annotations

from typing import cast

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.internet.address import IPv4Address


class Echo(WebSocketServerProtocol):
    """Sends back what comes."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it back."""
        self.sendMessage(payload, isBinary)


def main() -> None:
    """Serve until a signal comes."""
    factory = WebSocketServerFactory()
    factory.protocol = Echo
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(f"listening on {cast(IPv4Address, port.getHost()).port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
