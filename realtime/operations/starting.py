"""What a start ends with: one line why it failed, or where it serves."""

from __future__ import annotations

from twisted.internet.interfaces import IListeningPort


class StartFailed(SystemExit, Exception):
    """Ends twistd with one line on standard error.

    It is an Exception beside because twistd, in the background, cleans up after those alone: for another
    it would leave its pid file, and the process at the terminal would wait for ever.
    """


def where_it_listens(port: IListeningPort, endpoint: str) -> str:
    """Return host and port number of an open port, or the endpoint if it has none."""
    address = port.getHost()
    host, number = getattr(address, "host", None), getattr(address, "port", None)
    return f"{host}:{number}" if host is not None else endpoint
