"""The signing secret: where it comes from, and that there is only one."""

import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.secrets import load_secret
from tests.accounts.folders import temporary_folder

LONG = "s" * 32


class ConfiguredSecretTests(SynchronousTestCase):
    """A secret from the settings."""

    def setUp(self) -> None:
        """Have a folder for the files of the settings."""
        self.folder = temporary_folder(self)

    def load(self, configured: str = "", configured_file: str = "") -> bytes:
        """Load it, with a state directory which must not be touched."""
        state_dir = self.folder / "state"
        try:
            return load_secret(configured=configured, configured_file=configured_file, state_dir=state_dir)
        finally:
            self.assertFalse(state_dir.exists())

    def file(self, content: bytes) -> str:
        """A file with this content."""
        path = self.folder / "secret"
        path.write_bytes(content)
        return str(path)

    def test_configured(self) -> None:
        """A configured secret is used as it is, in UTF-8."""
        self.assertEqual(self.load(LONG + " é"), (LONG + " é").encode())

    def test_bytes_from_the_environment(self) -> None:
        """Bytes that are no UTF-8 come through the environment unharmed."""
        raw = b"\xff" * 32
        self.assertEqual(self.load(raw.decode("utf-8", "surrogateescape")), raw)

    def test_file(self) -> None:
        """A file's line end does not belong to its secret."""
        for end in (b"", b"\n", b"\r\n"):
            self.assertEqual(self.load("", self.file(LONG.encode() + end)), LONG.encode())

    def test_too_short(self) -> None:
        """31 bytes are refused, wherever they come from, and are not shown."""
        short = "s" * 31
        for arguments in ((short, ""), ("", self.file(short.encode() + b"\n"))):
            with self.assertRaises(ValueError) as raised:
                self.load(*arguments)
            self.assertNotIn(short, str(raised.exception))
            self.assertIn("auth.jwt_secret", str(raised.exception))
            self.assertNotIn("\n", str(raised.exception))

    def test_both(self) -> None:
        """Two secrets at once are refused: which of them counts would be a guess."""
        with self.assertRaisesRegex(ValueError, "only one"):
            self.load(LONG, self.file(LONG.encode()))

    def test_missing_file(self) -> None:
        """A file that can't be read is named."""
        with self.assertRaisesRegex(ValueError, "absent"):
            self.load("", str(self.folder / "absent"))


class MadeSecretTests(SynchronousTestCase):
    """A secret that the server makes for itself."""

    def setUp(self) -> None:
        """Name a state directory that doesn't exist yet."""
        self.state_dir = temporary_folder(self) / "state" / "var"
        self.path = self.state_dir / "jwt-secret"

    def load(self) -> bytes:
        """Load it with nothing in the settings."""
        return load_secret(configured="", configured_file="", state_dir=self.state_dir)

    def test_made_once(self) -> None:
        """The first call makes a secret that suits HS512; the next ones find it."""
        made = self.load()
        self.assertGreaterEqual(len(made), 64)
        self.assertEqual(self.load(), made)

    def test_made_differently(self) -> None:
        """Another state directory gets another secret."""
        first = self.load()
        self.state_dir = temporary_folder(self)
        self.assertNotEqual(self.load(), first)

    def test_private(self) -> None:
        """Nobody but the owner can read it, and nothing else is left in the directory."""
        self.load()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.state_dir.stat().st_mode), 0o700)
        self.assertEqual(os.listdir(self.state_dir), ["jwt-secret"])

    def test_copied_to_the_settings(self) -> None:
        """The file's text in the settings of another machine is the same secret."""
        made = self.load()
        text = self.path.read_text("ascii").strip()
        self.assertEqual(load_secret(configured=text, configured_file="", state_dir=self.state_dir), made)

    def test_many_at_once(self) -> None:
        """Processes that start together get the same secret."""
        together = Barrier(8)

        def load() -> bytes:
            together.wait()
            return self.load()

        with ThreadPoolExecutor(8) as pool:
            found = {future.result() for future in [pool.submit(load) for _ in range(8)]}
        self.assertEqual(len(found), 1)
        self.assertEqual(os.listdir(self.state_dir), ["jwt-secret"])

    def test_overtaken(self) -> None:
        """A process that is overtaken between looking and making takes the other's secret."""
        other = "o" * 86

        def overtaken(size: int) -> str:
            self.path.write_text(other + "\n")
            self.path.chmod(0o600)
            return "m" * 86

        self.patch(secrets, "token_urlsafe", overtaken)
        self.assertEqual(self.load(), other.encode())
        self.assertEqual(os.listdir(self.state_dir), ["jwt-secret"])

    def test_damaged(self) -> None:
        """An empty file is an error: making another secret would end every session unasked."""
        self.state_dir.mkdir(parents=True)
        self.path.touch(0o600)
        with self.assertRaisesRegex(ValueError, "at least 32 bytes"):
            self.load()
        self.assertEqual(self.path.read_bytes(), b"")

    def test_not_a_directory(self) -> None:
        """A state directory that can't be made is one clear line."""
        self.state_dir.parent.mkdir()
        self.state_dir.write_text("in the way")
        with self.assertRaisesRegex(ValueError, "^state_dir: .*jwt-secret cannot be"):
            self.load()

    def test_readable_by_others(self) -> None:
        """A secret that others may read is used, with a warning that doesn't show it."""
        made = self.load()
        self.path.chmod(0o644)
        with capturedLogs() as events:
            self.assertEqual(self.load(), made)
        [event] = events
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertNotIn(made.decode(), str(formatEvent(event)))
