import os

from twisted.trial.unittest import SynchronousTestCase

from realtime.config import ConfigurationError, load
from realtime.supervision import worker
from realtime.tap import Options


class WorkersSettingTests(SynchronousTestCase):
    """How many workers there are to be."""

    def test_needs_redis(self) -> None:
        """Several are one server by Redis alone; without it the start ends with a line that names the key."""
        for count in (0, 1):
            load(options={"operations": {"workers": count}})
        with self.assertRaisesRegex(ConfigurationError, r"^redis\.url: must be set, for operations\.workers"):
            load(options={"operations": {"workers": 2}})
        load(options={"operations": {"workers": 2}, "redis": {"url": "redis://localhost/"}})

    def test_option(self) -> None:
        """The option goes before the environment, and a bad one is refused as any setting is."""
        environment = {"REALTIME_OPERATIONS_WORKERS": "3", "REALTIME_REDIS_URL": "redis://localhost/"}
        self.patch(os, "environ", environment)
        for arguments, count in ((["--workers", "5"], 5), ([], 3), (["--workers=0"], 0)):
            options = Options()
            options.parseOptions(arguments)
            self.assertEqual(options["settings"].operations.workers, count)
        for wrong in ("many", "-1", "1.5", ""):
            with self.assertRaisesRegex(SystemExit, r"operations\.workers"):
                Options().parseOptions(["--workers", wrong])

    def test_worker(self) -> None:
        """Who types the option that is the parent's own is told what it is for."""
        self.patch(worker, "_is_pipe", lambda number: False)  # whoever runs the tests may have some
        with self.assertRaisesRegex(SystemExit, "--worker is what --workers starts processes with"):
            Options().parseOptions(["--worker", "0"])

    def test_pipes(self) -> None:
        """What is there by the parent is a pipe; a file or a number that stands for nothing is none."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, writing)
        self.assertTrue(worker._is_pipe(reading))
        os.close(reading)
        self.assertFalse(worker._is_pipe(reading))
        with open(os.devnull) as other:
            self.assertFalse(worker._is_pipe(other.fileno()))
