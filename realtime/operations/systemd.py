"""What the service manager is told: that the server is ready, alive, and about to stop.

The protocol is sd_notify(3): one datagram with lines of ``NAME=value`` to the socket that the
environment names. Without systemd the variables are absent, and nothing is sent.
"""

import os
import socket
import time
from collections.abc import Mapping

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()

READY = "READY=1"
STOPPING = "STOPPING=1"
RELOADING = "RELOADING=1"
ALIVE = "WATCHDOG=1"


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send `state` to the service manager, if there is one that listens.

    Never raises: a manager that can't be reached must not stop the server. It waits until the
    manager takes the datagram, as sd_notify does; a READY=1 that was dropped would end the service.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address[0] == "@":  # how a name in Linux's abstract namespace is written
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(state.encode(), address)
    except OSError as error:
        _log.warn("systemd: {state} could not be sent: {reason}", state=state, reason=error.strerror)


def reloading() -> str:
    """Give the state that a reload begins with, to be followed by `READY`; systemd compares its moment."""
    return f"{RELOADING}\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


class Watchdog(Service):
    """Says twice in each WATCHDOG_USEC that the reactor still turns.

    Runs from the moment the server is ready until everything is stopped: systemd watches a service
    while it drains, too.
    """

    def __init__(self, clock: IReactorTime, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._interval = _interval(environment)
        self._alive = LoopingCall(notify, ALIVE, environment)
        self._alive.clock = clock

    def startService(self) -> None:
        """Begin, if systemd asked this process for it."""
        super().startService()
        if self._interval is not None:
            self._alive.start(self._interval)

    def stopService(self) -> None:
        """End."""
        super().stopService()
        if self._alive.running:
            self._alive.stop()


def _interval(environment: Mapping[str, str]) -> float | None:
    """Give the seconds between two signs of life, None if nobody waits for them.

    WATCHDOG_PID is another process's when this one inherited the variables.
    """
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / 2 / 1_000_000
