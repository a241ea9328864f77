"""What ``twistd realtime`` is: its options, and the service they make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import IService, IServiceCollection
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.usage import Options as UsageOptions

from realtime import config
from realtime.operations.logs import LoggedService, LogStream, encodable, log_observer, twistd_stream
from realtime.settings import Settings
from realtime.supervision.process import command

if TYPE_CHECKING:
    from realtime.supervision.worker import Worker


class Options(UsageOptions):
    """The command line. What is given here has precedence over environment and file."""

    synopsis = "[options]"
    longdesc = "One daemon for five realtime chat protocols."
    optParameters = [  # noqa: RUF012
        ["config", "c", None, "TOML file with the settings"],
        ["database", None, None, "sqlite:///path, postgresql://… or mysql://…"],
        ["redis", None, None, "redis://host/…, where several processes find each other"],
        ["state-dir", None, None, "where secrets and the default database are kept"],
        ["workers", None, None, "processes that serve, on one listening socket"],
        ["worker", None, None, "the place of one of them: not for you"],
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
        if self["workers"] is not None:
            workers = self["workers"]
            tree["operations"] = {"workers": int(workers) if workers.isdecimal() else workers}
        return config.load(self["config"], environment=os.environ, options=tree)

    def postOptions(self) -> None:
        """Refuse settings that can't be used, in one line, before anything is started."""
        try:
            if self["worker"] is not None:
                self["worker"] = _worker()
                self["settings"] = self["worker"].begin.settings
            else:
                self["command"] = command(self.parent or {})  # before twistd changes the folder
                self["settings"] = self.settings()
        except config.ConfigurationError as error:
            # No UsageError, before which twistd prints all options: this is not about them.
            raise SystemExit(f"realtime: {error}") from None


def _worker() -> Worker:
    """Become a worker of who has started this process."""
    from realtime.supervision.worker import NotStartedByParent, Worker, settle

    try:
        worker = Worker()
    except NotStartedByParent:
        raise SystemExit("realtime: --worker is what --workers starts processes with") from None
    settle()
    return worker


def makeService(options: Options) -> IService:
    """Build the daemon, or the parent of several."""
    from twisted.internet import reactor

    settings: Settings = options["settings"]
    worker: Worker | None = options["worker"]
    stream = twistd_stream(options.parent or {}, cast(IReactorFromThreads, reactor))
    observer = log_observer(
        stream,
        log_format=settings.operations.log_format,
        level=settings.operations.log_level,
        worker=None if worker is None else worker.begin.slot,
    )
    service = LoggedService(observer)
    try:
        if worker is not None:
            _add_worker(service, settings, worker, reactor)
        elif settings.operations.workers > 1:
            _add_parent(service, settings, options, stream, reactor)
        else:
            _add_daemon(service, settings, options, reactor)
    except config.ConfigurationError as error:
        raise SystemExit(f"realtime: {error}") from None
    return service


def _add_daemon(service: IServiceCollection, settings: Settings, options: Options, reactor: Any) -> None:
    from realtime import wiring

    wiring.build(settings, reactor, demo=bool(options["demo"])).setServiceParent(service)


def _add_worker(service: IServiceCollection, settings: Settings, worker: Worker, reactor: Any) -> None:
    from realtime import wiring

    worker.attach(reactor)
    wiring.build(settings, reactor, demo=worker.begin.demo, worker=worker).setServiceParent(service)
    worker.setServiceParent(service)


def _add_parent(
    service: IServiceCollection, settings: Settings, options: Options, stream: LogStream, reactor: Any
) -> None:
    from realtime import wiring
    from realtime.supervision.parent import Parent

    def reload() -> Settings:
        settings = options.settings()
        wiring.prepare(settings, reactor)
        return settings

    def write(line: str) -> None:
        stream.write(encodable(line, stream))
        stream.flush()

    if options["config"]:
        options["config"] = os.path.abspath(options["config"])  # twistd may change the folder
    wiring.prepare(settings, reactor)
    Parent(
        reactor=reactor,
        command=options["command"],
        settings=settings,
        reload=reload,
        migrate=wiring.migrate_database,
        write=write,
        demo=bool(options["demo"]),
    ).setServiceParent(service)
