from twisted.trial.unittest import SynchronousTestCase

from realtime.config import ConfigurationError, load
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
        self.patch(__import__("os"), "environ", environment)
        for arguments, count in ((["--workers", "5"], 5), ([], 3), (["--workers=0"], 0)):
            options = Options()
            options.parseOptions(arguments)
            self.assertEqual(options["settings"].operations.workers, count)
        for wrong in ("many", "-1", "1.5", ""):
            with self.assertRaisesRegex(SystemExit, r"operations\.workers"):
                Options().parseOptions(["--workers", wrong])
        with self.assertRaisesRegex(SystemExit, "--worker is what --workers starts processes with"):
            Options().parseOptions(["--worker", "0"])
