"""``websockets`` on uvloop, without compression, as it is run for speed."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

waiting: dict[str, ServerConnection] = {}
others: dict[ServerConnection, ServerConnection] = {}
receivers: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Serve a connection in one of the three modes."""
    assert connection.request is not None
    query = parse_qs(urlsplit(connection.request.path).query)
    mode = query["mode"][0]
    if mode == "relay":
        pair = query["pair"][0]
        other = waiting.pop(pair, None)
        if other is None:
            waiting[pair] = connection
        else:
            others[connection], others[other] = other, connection
    elif "role" in query:
        receivers.add(connection)
    try:
        async for message in connection:
            if mode == "echo":
                await connection.send(message)
            elif mode == "relay":
                await others[connection].send(message)
            else:
                broadcast(receivers, message)
    finally:
        receivers.discard(connection)
        others.pop(connection, None)


async def main() -> None:
    """Serve until a signal comes."""
    arguments: dict[str, Any] = {"compression": None, "ping_interval": None, "backlog": 4096}
    async with serve(handle, "127.0.0.1", 0, **arguments) as server:
        print(f"listening on {next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
