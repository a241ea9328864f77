"""What ``twistd realtime`` is: its options, and the service they make."""

from __future__ import annotations

import os
from typing import Any, cast

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.usage import Options as UsageOptions

from realtime import config
from realtime.operations.logs import LoggedService, log_observer, twistd_stream
from realtime.settings import Settings


class Options(UsageOptions):
    """The command line. What is given here has precedence over environment and file."""

    synopsis = "[options]"
    longdesc = "One daemon for five realtime chat protocols."
    optParameters = [  # noqa: RUF012
        ["config", "c", None, "TOML file with the settings"],
        ["database", None, None, "sqlite:///path, postgresql://… or mysql://…"],
        ["redis", None, None, "redis://host/…, where several processes find each other"],
        ["state-dir", None, None, "where secrets and the default database are kept"],
    ]
    optFlags = [["demo", None, "create the demo accounts, if they are absent"]]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted server endpoint to listen at; may be given more than once."""
        self["listen"].append(endpoint)

    opt_l = opt_listen

    def settings(self) -> Settings:
        """Return the settings that options, environment and file make together."""
        tree: dict[str, Any] = {}
        if self["listen"]:
            tree["listen"] = [{"endpoint": endpoint} for endpoint in self["listen"]]
        if self["database"]:
            tree["database"] = {"url": self["database"]}
        if self["redis"]:
            tree["redis"] = {"url": self["redis"]}
        if self["state-dir"]:
            tree["state_dir"] = self["state-dir"]
        return config.load(self["config"], environment=os.environ, options=tree)

    def postOptions(self) -> None:
        """Refuse settings that can't be used, in one line, before anything is started."""
        try:
            self["settings"] = self.settings()
        except config.ConfigurationError as error:
            # No UsageError, before which twistd prints all options: this is not about them.
            raise SystemExit(f"realtime: {error}") from None


def makeService(options: Options) -> IService:
    """Build the daemon."""
    from twisted.internet import reactor

    from realtime import wiring

    settings: Settings = options["settings"]
    try:
        daemon = wiring.build(settings, reactor, demo=bool(options["demo"]))
    except config.ConfigurationError as error:
        raise SystemExit(f"realtime: {error}") from None
    observer = log_observer(
        twistd_stream(options.parent or {}, cast(IReactorFromThreads, reactor)),
        log_format=settings.operations.log_format,
        level=settings.operations.log_level,
    )
    service = LoggedService(observer)
    daemon.setServiceParent(service)
    return service
