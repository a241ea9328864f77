"""``python-socketio`` on uvicorn with uvloop."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import parse_qs

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
modes: dict[str, str] = {}
pairs: dict[str, str] = {}


@server.event
async def connect(sid: str, environment: dict[str, Any]) -> None:
    """Find out what a connection is for."""
    query = parse_qs(environment["QUERY_STRING"])
    modes[sid] = query["mode"][0]
    if modes[sid] == "relay":
        pairs[sid] = f"pair {query['pair'][0]}"
        await server.enter_room(sid, pairs[sid])
    elif "role" in query:
        await server.enter_room(sid, "receivers")


@server.event
async def message(sid: str, data: Any) -> None:
    """Send it where it belongs."""
    if modes[sid] == "echo":
        await server.emit("message", data, to=sid)
    elif modes[sid] == "relay":
        await server.emit("message", data, room=pairs[sid], skip_sid=sid)
    else:
        await server.emit("message", data, room="receivers")


def main() -> None:
    """Serve until a signal comes."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(f"listening on {listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(socketio.ASGIApp(server), loop="uvloop", log_level="warning")
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
