"""Where the log goes and what a line of it looks like.

`log_observer` makes the one observer of the daemon: it drops what is below its level, and writes the
rest as text or as JSON, without secrets (`realtime.operations.redaction`) and without control
characters, so that a peer can neither forge a line nor steer a terminal::

    2026-11-20T09:15:02.114Z [realtime.websocket.connection#info connection=17] opened
    {"time": "2026-11-20T09:15:02.114Z", "level": "info", "namespace": "realtime.websocket.connection",
     "message": "opened", "connection": 17}                                  (on one line)

An event with a failure has its traceback below the text, indented, or under ``failure``.

How it gets into twistd: a plugin's makeService is handed no application, yet the application is where
twistd asks for an observer (as the component `ILogObserver`) before it makes its own. The service that
makeService returns is told its application in ``setServiceParent``, which comes before that question.
So makeService returns a `LoggedService` which holds everything else::

    stream = twistd_stream(options.parent, reactor)
    service = LoggedService(log_observer(stream, log_format="json"))
    daemon.setServiceParent(service)

An observer that the command line names with ``--logger`` goes before it, as twistd promises.
"""

import json
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any, Literal, Protocol, TextIO, cast

from twisted.application.service import IServiceCollection, MultiService
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    eventAsText,
    formatEvent,
)
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from zope.interface import implementer

from realtime.operations.redaction import redact

# What a terminal would obey. Line ends and tabs stay: a traceback needs them.
_CONTROL_CHARACTERS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}


class LogStream(Protocol):
    """Where lines are written: a text file, or something that looks like one."""

    def write(self, line: str, /) -> object:
        """Take one whole line with its line end."""

    def flush(self) -> object:
        """Hand on what was written."""


def log_observer(
    stream: LogStream,
    *,
    log_format: Literal["text", "json"] = "text",
    level: Literal["debug", "info", "warn", "error"] = "info",
    worker: int | None = None,
) -> ILogObserver:
    """Make the observer that writes every event of at least `level` to `stream`, one line each.

    ``worker`` is the slot of this process among several, and stands in each line.
    """
    as_line = _json_line if log_format == "json" else _text_line

    def written(event: LogEvent) -> str:
        return encodable(as_line(event, worker), stream)

    threshold = LogLevel.lookupByName(level)
    predicates: list[ILogFilterPredicate] = [LogLevelFilterPredicate(threshold)]
    if threshold > LogLevel.debug:
        predicates.append(_PeersFaults())
    return FilteringLogObserver(FileLogObserver(cast(IO[Any], stream), written), predicates)


def encodable(text: str, stream: LogStream) -> str:
    """Give `text` as `stream` can encode it: a lone surrogate, first of all, must not cost the line."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def twistd_stream(options: Mapping[str, Any], reactor: IReactorFromThreads) -> LogStream:
    """Open what twistd's own options ask for: ``--logfile``, ``--syslog``, ``--nodaemon``.

    It answers as `twistd` does without an observer of the application's: standard output in the
    foreground, ``twistd.log`` as a daemon, a file that SIGUSR1 rotates. To be called in makeService,
    while ``sys.stdout`` still is the real one.
    """
    if options.get("syslog"):
        return _Syslog(options["prefix"])
    name = options.get("logfile")
    if name == "-" or (not name and options.get("nodaemon")):
        if not options.get("nodaemon"):
            raise SystemExit("Daemons cannot log to stdout, exiting!")
        return sys.stdout
    log_file = LogFile.fromFullPath(name or "twistd.log")
    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(log_file.rotate))
    return cast(TextIO, log_file)


class LoggedService(MultiService):
    """The service that makeService returns: it gives its application the log observer.

    Attached to anything else, such as another service in a test, it is a plain MultiService.
    """

    def __init__(self, observer: ILogObserver) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join `parent`; if that is a twistd application, bring the observer along."""
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)


@implementer(ILogFilterPredicate)
class _PeersFaults:
    """Drops what Autobahn says about its peers, and keeps what it says about our own faults.

    Autobahn warns of each broken handshake, illegal frame and lost connection: any peer could fill
    the log with them, and the connection's own line and the metrics say the same. What it says about
    a callback of ours that raised carries the failure or its traceback.
    """

    _OURS = frozenset({"err", "fail", "tb", "log_failure"})

    def __call__(self, event: LogEvent) -> Any:
        namespace: str = event.get("log_namespace", "")
        if namespace.startswith("autobahn.") and self._OURS.isdisjoint(event):
            return PredicateResult.no
        return PredicateResult.maybe


class _Syslog:
    """Sends lines to the system's log through Twisted's observer for it."""

    def __init__(self, prefix: str) -> None:
        # Not at the top: the module it needs doesn't exist on every system.
        from twisted.python.syslog import SyslogObserver

        self._emit = SyslogObserver(prefix).emit

    def write(self, line: str, /) -> None:
        self._emit({"message": (line.rstrip("\n"),), "isError": False, "system": "-"})

    def flush(self) -> None:
        pass


def _text_line(event: LogEvent, worker: int | None) -> str:
    text = _cleaned(eventAsText(event, includeTimestamp=False, includeSystem=False))
    process = "" if worker is None else f" worker={worker}"
    connection = f" connection={_connection(event)}" if "connection" in event else ""
    system = f"{event['log_namespace']}#{event['log_level'].name}{process}{connection}"
    indented = text.rstrip("\n").replace("\n", "\n\t")
    return f"{_time(event)} [{system}] {indented}\n"


def _json_line(event: LogEvent, worker: int | None) -> str:
    line: dict[str, object] = {
        "time": _time(event),
        "level": event["log_level"].name,
        "namespace": event["log_namespace"],
        "message": _cleaned(formatEvent(event)),
    }
    if worker is not None:
        line["worker"] = worker
    if "connection" in event:
        line["connection"] = _connection(event)
    if "log_failure" in event:
        line["failure"] = _cleaned(event["log_failure"].getTraceback())
    return json.dumps(line) + "\n"


def _time(event: LogEvent) -> str:
    """Give the event's time in UTC, ISO 8601, to the millisecond."""
    when = datetime.fromtimestamp(event["log_time"], UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _connection(event: LogEvent) -> int | str:
    connection = event["connection"]
    return connection if isinstance(connection, int) else _cleaned(str(connection))


def _cleaned(text: str) -> str:
    return redact(text).translate(_CONTROL_CHARACTERS)
