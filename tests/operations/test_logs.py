import json
import os
import signal
import subprocess
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, Literal, cast

from twisted.application.service import Application, IServiceCollection, MultiService
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher, globalLogBeginner
from twisted.python import log as legacy_log
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.python.syslog import SyslogObserver
from twisted.trial.unittest import SynchronousTestCase

from realtime.operations.logs import LoggedService, LogStream, log_observer, twistd_stream
from tests.accounts.folders import temporary_folder


class LogTestCase(SynchronousTestCase):
    """A logger, and what was written of what it said."""

    def setUp(self) -> None:
        """Begin with an empty log."""
        self.stream = StringIO()

    def logger(
        self,
        log_format: Literal["text", "json"] = "text",
        level: Literal["debug", "info", "warn", "error"] = "info",
        namespace: str = "realtime.test",
    ) -> Logger:
        """A logger that is observed."""
        return Logger(namespace, observer=log_observer(self.stream, log_format=log_format, level=level))

    def written(self) -> str:
        """Everything that was written."""
        return self.stream.getvalue()

    def event(self) -> dict[str, Any]:
        """The one line that was written, parsed."""
        (line,) = self.written().splitlines()
        return cast(dict[str, Any], json.loads(line))


class TextTests(LogTestCase):
    """Lines for people."""

    def test_line(self) -> None:
        """A line has the time in UTC, the namespace, the level and the text."""
        observer = log_observer(self.stream)
        observer(
            {
                "log_time": 1_795_166_102.114,
                "log_level": LogLevel.warn,
                "log_namespace": "realtime.test",
                "log_format": "{count} left",
                "count": 2,
            }
        )
        self.assertEqual(self.written(), "2026-11-20T09:15:02.114Z [realtime.test#warn] 2 left\n")

    def test_connection(self) -> None:
        """The connection is named when the event has one."""
        self.logger().info("opened", connection=17)
        self.assertIn("[realtime.test#info connection=17] opened\n", self.written())

    def test_failure(self) -> None:
        """A failure's traceback follows, indented."""
        self.logger().failure("broken", Failure(ValueError("why")))
        first, *others = self.written().splitlines()
        self.assertTrue(first.endswith("[realtime.test#critical] broken"))
        self.assertTrue(others[-1].endswith("builtins.ValueError: why"))
        self.assertTrue(all(line.startswith("\t") for line in others))

    def test_a_peer_forges_no_line(self) -> None:
        """Line ends and control characters of a peer's begin no line and steer no terminal."""
        self.logger().info("name {name}", name="x\n2026 [y#info] z\r\x1b[2J\x9b1m\x00")
        self.assertTrue(self.written().endswith("name x\n\t2026 [y#info] z\\x0d\\x1b[2J\\x9b1m\\x00\n"))

    def test_secrets(self) -> None:
        """A token doesn't get through, whether in the text or in a failure's."""
        self.logger().failure("GET /?token=abc", Failure(ValueError("Bearer def")))
        self.assertIn("token=[removed]", self.written())
        self.assertNotIn("abc", self.written())
        self.assertNotIn("def ", self.written().replace("Bearer [removed]", ""))
        self.assertIn("Bearer [removed]", self.written())

    def test_unencodable(self) -> None:
        """What the stream's encoding lacks is escaped, and the line is written."""
        bytes_written = BytesIO()
        stream = TextIOWrapper(bytes_written, encoding="ascii")
        Logger("n", observer=log_observer(stream)).info("{x}", x="é\ud800")
        self.assertTrue(bytes_written.getvalue().endswith(b"\\xe9\\ud800\n"))

    def test_level(self) -> None:
        """What is below the level is not written."""
        logger = self.logger(level="warn")
        logger.info("quiet")
        logger.warn("loud")
        self.assertNotIn("quiet", self.written())
        self.assertIn("loud", self.written())

    def test_legacy_events(self) -> None:
        """What a library says through twisted.python.log is written, too."""
        publisher = LogPublisher(log_observer(self.stream))
        legacy = legacy_log.LogPublisher(
            observerPublisher=publisher, publishPublisher=publisher, logBeginner=globalLogBeginner
        )
        legacy.msg("said so", system="library")
        self.assertIn("#info] said so\n", self.written())


class JSONTests(LogTestCase):
    """Lines for machines."""

    def test_line(self) -> None:
        """One object on one line, whatever the text is."""
        self.logger("json").info("a\n{b}", b="\u2028\ud800", connection=3)
        event = self.event()
        self.assertRegex(event.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            event,
            {
                "level": "info",
                "namespace": "realtime.test",
                "message": "a\n\u2028\ud800",
                "connection": 3,
            },
        )

    def test_failure(self) -> None:
        """A failure's traceback is a key of its own."""
        self.logger("json").failure("broken", Failure(ValueError("Bearer abc")))
        event = self.event()
        self.assertEqual(event["message"], "broken")
        self.assertIn("builtins.ValueError: Bearer [removed]", event["failure"])

    def test_secrets(self) -> None:
        """A token doesn't get through."""
        self.logger("json").info("{uri}", uri="/?token=abc", connection="Bearer abc")
        self.assertNotIn("abc", self.written())
        self.assertEqual(self.event()["connection"], "Bearer [removed]")

    def test_broken_event(self) -> None:
        """An event that can't be formatted is a line all the same."""
        self.logger("json").info("{missing.attribute}")
        self.assertIn("Unable to format event", self.event()["message"])


class AutobahnTests(LogTestCase):
    """What Autobahn says of its peers isn't worth a line; what it says of us is."""

    NAMESPACE = "autobahn.twisted.websocket.WebSocketServerProtocol"

    def test_peers_faults(self) -> None:
        """A peer's broken handshake or frame is left out."""
        logger = self.logger(namespace=self.NAMESPACE)
        logger.info("failing WebSocket opening handshake ('{reason}')", reason="x")
        logger.warn("failing WebSocket connection (code={code})", code=1002)
        logger.error("TLS failure:\nalert")
        self.assertEqual(self.written(), "")

    def test_our_faults(self) -> None:
        """A callback of ours that raised is shown, with its traceback."""
        logger = self.logger(namespace=self.NAMESPACE)
        logger.warn("Unexpected exception ['{err.value}']", err=Failure(ValueError("why")))
        logger.warn("{tb}", tb="Traceback")
        self.assertIn("Unexpected exception ['why']\n", self.written())
        self.assertIn("Traceback\n", self.written())

    def test_debug(self) -> None:
        """With level debug everything is shown."""
        self.logger(level="debug", namespace=self.NAMESPACE).info("handshake")
        self.assertIn("handshake\n", self.written())


class TwistdTests(SynchronousTestCase):
    """The observer gets into twistd, and writes where twistd would."""

    def stream(self, **options: object) -> LogStream:
        """The stream for twistd's options; what it does to SIGUSR1 is undone afterwards."""
        before = signal.getsignal(signal.SIGUSR1)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        return twistd_stream(options, self)  # type: ignore[arg-type]

    def callFromThread(self, function: Any) -> None:
        """Do what the reactor would do in its next turn."""
        function()

    def test_foreground(self) -> None:
        """In the foreground it is standard output, with or without being asked."""
        self.assertIs(self.stream(nodaemon=1, logfile=None), sys.stdout)
        self.assertIs(self.stream(nodaemon=1, logfile="-"), sys.stdout)

    def test_daemon_without_output(self) -> None:
        """A daemon has no standard output, and twistd's words for it are kept."""
        self.assertRaises(SystemExit, self.stream, nodaemon=0, logfile="-")

    def test_file(self) -> None:
        """A file is written to as text, and SIGUSR1 begins a new one."""
        path = temporary_folder(self) / "realtime.log"
        stream = self.stream(nodaemon=1, logfile=str(path))
        self.assertIsInstance(stream, LogFile)
        self.addCleanup(cast(LogFile, stream).close)
        logger = Logger("n", observer=log_observer(stream))
        logger.info("before é")
        os.kill(os.getpid(), signal.SIGUSR1)
        logger.info("after")
        self.assertIn("before é\n", Path(f"{path}.1").read_text(encoding="utf-8"))
        self.assertIn("after\n", path.read_text(encoding="utf-8"))
        self.assertNotIn("before", path.read_text(encoding="utf-8"))

    def test_daemon_file(self) -> None:
        """A daemon that is given no file writes twistd.log."""
        folder = temporary_folder(self)
        before = Path.cwd()
        os.chdir(folder)
        self.addCleanup(os.chdir, before)
        stream = self.stream(nodaemon=0, logfile=None)
        self.addCleanup(cast(LogFile, stream).close)
        self.assertEqual(cast(LogFile, stream).path, str(Path("twistd.log").absolute()))

    def test_syslog(self) -> None:
        """With --syslog each line goes there, cleaned like any other."""
        sent: list[str] = []
        self.patch(SyslogObserver, "syslog", staticmethod(lambda _, line: sent.append(line)))
        Logger("n", observer=log_observer(self.stream(syslog=1, prefix="realtime"))).info("token=abc")
        (line,) = sent
        self.assertTrue(line.endswith("[n#info] token=[removed]"))

    def test_component(self) -> None:
        """The application that the service joins has the observer from then on."""
        observer = log_observer(StringIO())
        application = Application("realtime")
        service = LoggedService(observer)
        service.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), observer)
        self.assertEqual(list(IServiceCollection(application)), [service])

    def test_other_parent(self) -> None:
        """Under any other service it is a plain service."""
        parent, service = MultiService(), LoggedService(LogPublisher())
        service.setServiceParent(parent)
        self.assertEqual(list(parent), [service])

    def test_real_twistd(self) -> None:
        """A real twistd writes every line of its own through it, the first and the last included."""
        folder = temporary_folder(self)
        (folder / "realtime.tac").write_text(
            "from twisted.application.service import Application\n"
            "from twisted.internet import reactor\n"
            "from realtime.operations.logs import LoggedService, log_observer, twistd_stream\n"
            "stream = twistd_stream({'nodaemon': 1}, reactor)\n"
            "application = Application('realtime')\n"
            "LoggedService(log_observer(stream, log_format='json')).setServiceParent(application)\n"
            "reactor.callWhenRunning(print, 'printed token=abc')\n"
            "reactor.callWhenRunning(reactor.stop)\n"
        )
        command = [
            sys.executable,
            *("-c", "from twisted.scripts.twistd import run; run()"),
            *("-n", "--pidfile=", "-o", "-y", "realtime.tac"),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
        messages = [json.loads(line)["message"] for line in done.stdout.splitlines()]
        self.assertEqual(done.stderr, "")
        self.assertIn("starting up", "".join(messages))
        self.assertIn("printed token=[removed]", messages)
        self.assertEqual(messages[-1], "Server Shut Down.")
