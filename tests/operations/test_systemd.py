import os
import shutil
import socket
import subprocess
from configparser import RawConfigParser
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from realtime.operations.systemd import READY, Watchdog, notify
from tests.accounts.folders import temporary_folder
from tests.reactor import TestCase

CONF = Path(__file__).parents[2] / "conf"


class ManagerTestCase(TestCase):
    """A service manager's socket."""

    def setUp(self) -> None:
        """Listen as systemd does."""
        folder = temporary_folder(self)
        self.manager = self.listen(f"{folder}/notify")
        self.environment = {"NOTIFY_SOCKET": f"{folder}/notify"}

    def listen(self, address: str) -> socket.socket:
        """A socket that hears at `address`."""
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(address)
        manager.setblocking(False)
        return manager

    def heard(self) -> list[bytes]:
        """Everything the manager was told since it was last asked."""
        states = []
        while True:
            try:
                states.append(self.manager.recv(1024))
            except BlockingIOError:
                return states


class NotifyTests(ManagerTestCase):
    """The service manager is told, if there is one."""

    def test_path(self) -> None:
        """A socket in the file system gets one datagram."""
        notify(READY, self.environment)
        self.assertEqual(self.heard(), [b"READY=1"])

    def test_abstract(self) -> None:
        """A socket in the abstract namespace does, too."""
        name = f"realtime-test-{os.getpid()}"
        self.manager = self.listen(f"\0{name}")
        notify(READY, {"NOTIFY_SOCKET": f"@{name}"})
        self.assertEqual(self.heard(), [b"READY=1"])

    def test_no_manager(self) -> None:
        """Without the variable nothing is sent, and nothing is said about it."""
        events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        notify(READY, {})
        self.assertEqual((self.heard(), list(events)), ([], []))

    def test_manager_gone(self) -> None:
        """A socket that nobody listens at is a warning, not an error."""
        events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        notify(READY, {"NOTIFY_SOCKET": "/nowhere/notify"})
        self.assertEqual(
            [event["log_format"].format(**event) for event in events],
            ["systemd: READY=1 could not be sent: No such file or directory"],
        )


class WatchdogTests(ManagerTestCase):
    """Signs of life, as often as systemd wants them."""

    def start(self, **variables: str) -> Clock:
        """Start a watchdog; it is stopped at the end of the test, with nothing left behind."""
        clock = Clock()
        watchdog = Watchdog(clock, self.environment | variables)
        watchdog.startService()
        self.addCleanup(lambda: self.assertEqual(clock.getDelayedCalls(), []))
        self.addCleanup(watchdog.stopService)
        return clock

    def test_half_the_time(self) -> None:
        """One at once, and one in each half of the time."""
        clock = self.start(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
        self.assertEqual(self.heard(), [b"WATCHDOG=1"])
        clock.advance(14.9)
        self.assertEqual(self.heard(), [])
        clock.pump([0.1, 15])
        self.assertEqual(self.heard(), [b"WATCHDOG=1"] * 2)

    def test_stop(self) -> None:
        """None after the end."""
        clock = Clock()
        watchdog = Watchdog(clock, self.environment | {"WATCHDOG_USEC": "1000000"})
        watchdog.startService()
        watchdog.stopService()
        self.heard()
        clock.advance(10)
        self.assertEqual(self.heard(), [])

    def test_not_asked(self) -> None:
        """None if systemd doesn't ask, asks another process, or asks for nonsense."""
        for variables in (
            {},
            {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "soon"},
        ):
            self.start(**variables).advance(60)
            self.assertEqual(self.heard(), [], variables)


class UnitFileTests(SynchronousTestCase):
    """The unit files fit each other and the daemon."""

    def read(self, name: str) -> RawConfigParser:
        """A unit file, parsed; of a key that stands twice, the last."""
        unit = RawConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string((CONF / name).read_text(encoding="utf-8"))
        return unit

    def test_service(self) -> None:
        """What the daemon does about systemd is what the unit relies on."""
        service = self.read("realtime.service")["Service"]
        self.assertEqual(service["Type"], "notify")
        self.assertGreater(int(service["WatchdogSec"]), 0)
        program, *arguments = service["ExecStart"].split()
        self.assertTrue(program.endswith("/twistd"))
        self.assertEqual(arguments[:3], ["--nodaemon", "--pidfile=", "realtime"])

    def test_sandbox(self) -> None:
        """The sandbox is on."""
        service = self.read("realtime.service")["Service"]
        for key in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices"):
            self.assertEqual(service[key], "yes", key)
        self.assertEqual(service["ProtectSystem"], "strict")
        self.assertEqual(service["ProtectHome"], "yes")
        self.assertEqual(service["CapabilityBoundingSet"], "")
        self.assertEqual(service["RestrictAddressFamilies"].split(), ["AF_UNIX", "AF_INET", "AF_INET6"])
        self.assertEqual(service["WorkingDirectory"], f"/var/lib/{service['StateDirectory']}")

    def test_socket(self) -> None:
        """The socket is for the address that the settings have by default."""
        self.assertEqual(self.read("realtime.socket")["Socket"]["ListenStream"], "127.0.0.1:8080")

    def test_systemd_agrees(self) -> None:
        """The real thing finds no fault in them."""
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            raise SkipTest("systemd-analyze is not installed")
        folder = temporary_folder(self)
        for name in ("realtime.service", "realtime.socket"):
            text = (CONF / name).read_text(encoding="utf-8")
            # It looks for the program, which is where the unit says on a server alone.
            (folder / name).write_text(text.replace("/opt/realtime/bin/twistd", "/bin/true"), encoding="utf-8")
        done = subprocess.run(
            [analyze, "verify", "--man=no", *map(str, folder.iterdir())],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
