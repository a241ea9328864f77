"""Builds every part of the daemon once, from the settings.

The one module that knows all the others. Parts get what they need as constructor arguments; nothing here
is reached from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.web.client import Agent
from twisted.web.resource import IResource

from realtime import protocols
from realtime.accounts.authentication import Authenticator, OutsideAuthenticator, SignIn
from realtime.accounts.check_token import TokenChecker
from realtime.accounts.issuers import OutsideIssuer
from realtime.accounts.keysets import KeySource, PublicKeyFile, RemoteKeySet
from realtime.accounts.passwords import Passwords
from realtime.accounts.secrets import load_secret
from realtime.accounts.store import AccountStore
from realtime.accounts.tokens import TokenSigner
from realtime.cluster.cluster import Cluster, MemoryCluster
from realtime.cluster.redis_cluster import RedisCluster
from realtime.config import ConfigurationError
from realtime.daemon import Daemon, Listener
from realtime.http.address import TrustedProxies
from realtime.http.credentials import TokenPlaces
from realtime.http.origins import OriginPolicy
from realtime.limiting import Rate, Throttle
from realtime.operations.health import Health
from realtime.operations.metrics import Metrics
from realtime.operations.site import OperationsSite
from realtime.protocols import documentation, socketio
from realtime.protocols.shared import Protocol, Shared
from realtime.settings import Auth, Settings
from realtime.socketio.elsewhere import Elsewhere
from realtime.socketio.moving import Moving
from realtime.socketio.polling import EngineResource
from realtime.storage.commit import Committed
from realtime.storage.database import Database
from realtime.storage.migrate import migrate
from realtime.supervision.worker import Worker
from realtime.web.home import HomeResource
from realtime.web.pages import Pages
from realtime.web.sharing import Sharing
from realtime.web.sign_in import SignInResource
from realtime.web.site import Bodies, WebSite, tree
from realtime.web.upgrade import UpgradeResource
from realtime.websocket.admission import Admission
from realtime.websocket.factory import ConnectionFactory, Surroundings
from realtime.websocket.front_door import FrontDoorFactory
from realtime.websocket.handshake import HandshakePolicy
from realtime.websocket.keepalive import Keepalive
from realtime.websocket.outgoing import Turn

_log = Logger()


def build(settings: Settings, reactor: Any, *, demo: bool = False, worker: Worker | None = None) -> Daemon:
    """Build the daemon. Nothing is opened or started, but the signing secret is made if absent.

    As a ``worker`` it has its parent's sockets, and leaves to the parent what is done once.
    Raises :class:`ConfigurationError` with one line that names the setting that can't be used.
    """
    if worker is None:  # else its parent has
        check(settings, reactor)  # all of it, before the secret is made
    try:
        return _Parts(settings, reactor).daemon(demo=demo, worker=worker)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def prepare(settings: Settings, reactor: Any) -> None:
    """Do what :func:`build` does beforehand, once for several processes: check, make the signing secret.

    Raises :class:`ConfigurationError`.
    """
    check(settings, reactor)
    try:
        token_signer(settings, reactor.seconds)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def migrate_database(settings: Settings) -> None:
    """Bring the database to its schema; blocks. Raises as :func:`realtime.storage.migrate.migrate` does."""
    migrate(settings.database.url, log=_log.info)


def check(settings: Settings, reactor: Any) -> None:
    """Find the faults that :func:`build` would find, without making or starting anything.

    Raises :class:`ConfigurationError`.
    """
    try:
        open_database(settings, reactor)
        _cluster(settings, reactor)
        _origins_and_proxies(settings)
        _outside_issuer(settings.auth, reactor)
        _token_checker(settings.auth, reactor)
        if settings.auth.jwt_secret or settings.auth.jwt_secret_file:
            token_signer(settings, reactor.seconds)
        listen = (each.endpoint for each in settings.listen)
        for where in (*listen, settings.operations.listen, settings.cluster.listen):
            if where:
                _endpoint(where, reactor)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def open_database(settings: Settings, reactor: Any, committed: Committed | None = None) -> Database:
    """Return the database of the settings, not started; ``committed`` is told of each commit."""
    database = settings.database
    try:
        return Database(
            database.url,
            reactor=reactor,
            pool_size=database.pool_size,
            waiting_writes=database.waiting_writes,
            timeout=database.timeout,
            committed=committed,
        )
    except ValueError as error:
        raise ValueError(f"database.url: {error}") from None


def password_checker(settings: Settings, reactor: Any) -> Passwords:
    """Return what hashes and checks passwords, not started."""
    return Passwords(
        reactor=reactor,
        threads=settings.auth.password_threads,
        rounds=settings.auth.bcrypt_rounds,
    )


def token_signer(settings: Settings, now: Callable[[], float]) -> TokenSigner:
    """Return what signs and checks our own tokens; makes the secret if there is none."""
    auth, secret = settings.auth, _secret(settings)
    return TokenSigner(secret, algorithms=auth.algorithms, ttl=auth.token_ttl, leeway=auth.leeway, now=now)


def _secret(settings: Settings) -> bytes:
    return load_secret(
        configured=settings.auth.jwt_secret,
        configured_file=settings.auth.jwt_secret_file,
        state_dir=Path(settings.state_dir),
    )


class _Parts:
    """What is built once and used by several."""

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self.settings = settings
        self.reactor = reactor
        self.metrics = Metrics()
        self.database = open_database(settings, reactor, self.metrics.count_commit)
        self.metrics.database_writes_waiting.set_function(lambda: self.database.waiting_writes)
        self.accounts = AccountStore(self.database)
        self.passwords = password_checker(settings, reactor)
        self.signer = token_signer(settings, reactor.seconds)
        self.origins, self.proxies = _origins_and_proxies(settings)
        self.authenticator = Authenticator(
            accounts=self.accounts,
            signer=self.signer,
            outside=_outside_issuer(settings.auth, reactor),
        )
        self.cluster = _cluster(settings, reactor)
        where = _endpoint(settings.cluster.listen, reactor)
        self.peers = socketio.processes(settings, self.cluster, where, _secret(settings), reactor)
        self.elsewhere = None if self.peers is None else Elsewhere(self.peers)
        self.moving = None if self.peers is None else Moving(self.peers, self.cluster, reactor)
        self.admission = Admission(
            per_address=settings.limits.connections_per_ip,
            per_user=settings.limits.connections_per_user,
        )
        self.surroundings = self._surroundings()

    def daemon(self, *, demo: bool, worker: Worker | None) -> Daemon:
        health = Health(self.reactor)
        health.add_check("database", self.database.ping)
        if self.settings.redis.url:
            health.add_check("redis", self.cluster.check)
        protocols = self._protocols()
        sign_in = self._sign_in()
        pages = self._pages(list(protocols), demo=demo)
        listeners = [
            Listener(
                each.endpoint,
                worker.endpoint(index, each.endpoint) if worker else _endpoint(each.endpoint, self.reactor),
                self._front_door(protocols, each.protocol, sign_in, pages),
                each.protocol or ", ".join(protocols),
            )
            for index, each in enumerate(self.settings.listen)
        ]
        operations = self.settings.operations
        if worker is not None:
            worker.answer_from(health, self.metrics.registry)
        elif operations.listen:
            site = OperationsSite(health, self.metrics, self.reactor)
            listeners.append(
                Listener(
                    operations.listen,
                    _endpoint(operations.listen, self.reactor),
                    site,
                    "health, metrics",
                    stays=True,
                )
            )
        return Daemon(
            reactor=self.reactor,
            listeners=listeners,
            migrate=(lambda: None) if worker else partial(migrate_database, self.settings),
            database=self.database,
            cluster=self.cluster,
            peers=self.peers,
            passwords=self.passwords,
            workers=[each for protocol in protocols.values() for each in protocol.workers],
            accounts=self.accounts,
            connections=self.admission,
            health=health,
            drain_seconds=operations.drain_seconds,
            demo=demo and (worker is None or worker.is_first),
            parent=worker,
        )

    def _surroundings(self) -> Surroundings:
        settings, reactor = self.settings, self.reactor
        return Surroundings(
            clock=reactor,
            turn=Turn(reactor),
            keepalive=Keepalive(reactor, settings.limits.keepalive_interval, settings.limits.keepalive_timeout),
            admission=self.admission,
            handshakes=HandshakePolicy(
                origins=self.origins,
                proxies=self.proxies,
                tokens=TokenPlaces(
                    cookie_name=settings.auth.cookie_name,
                    query_tokens=settings.auth.query_tokens,
                    origins=self.origins,
                ),
            ),
            metrics=self.metrics,
        )

    def _protocols(self) -> Mapping[str, Protocol]:
        return protocols.build(
            self.settings,
            Shared(
                reactor=self.reactor,
                surroundings=self.surroundings,
                database=self.database,
                authenticator=self.authenticator,
                sharing=Sharing(self.origins),
                cluster=self.cluster,
                outside=self._outside(),
                moving=self.moving,
            ),
        )

    def _outside(self) -> OutsideAuthenticator | None:
        checker = _token_checker(self.settings.auth, self.reactor)
        return None if checker is None else OutsideAuthenticator(self.accounts, checker, checker.origin)

    def _sign_in(self) -> SignInResource:
        per_minute = self.settings.auth.sign_in_failures_per_minute
        failures = Rate(per_minute / 60, per_minute)
        sign_in = SignIn(
            accounts=self.accounts,
            passwords=self.passwords,
            signer=self.signer,
            names=Throttle(failures),
            addresses=Throttle(failures),
            clock=self.reactor,
        )
        return SignInResource(sign_in, self.proxies, Sharing(self.origins), self.metrics)

    def _pages(self, protocols: list[str], *, demo: bool) -> Pages:
        web, talk = self.settings.web, self.settings.talk
        return Pages(
            playground=web.playground,
            console=web.console,
            widget=web.widget,
            protocols=protocols,
            demo=demo,
            talk={
                "find": talk.find_timeout,
                "confirm": talk.confirm_timeout,
                "talk": talk.talk_duration,
                "answer": talk.answer_timeout,
            },
        )

    def _front_door(
        self, protocols: Mapping[str, Protocol], alone: str, sign_in: IResource, pages: Pages
    ) -> FrontDoorFactory:
        """Return the front door of a port that serves all protocols by path, and the pages; or one alone."""
        served = {alone: protocols[alone]} if alone else protocols
        routes: dict[str, ConnectionFactory] = {}
        sharing = Sharing(self.origins)
        resources: dict[str, IResource] = {"v1/auth": sign_in, **documentation.build(list(served), sharing)}
        for name, protocol in served.items():
            resources |= protocol.resources
            if protocol.factory is not None:
                routes[f"/{name}"] = protocol.factory
                resources[name] = UpgradeResource(protocol.factory)
        bodies: dict[str, Bodies] = {}
        engine = socketio.build(self.settings, self.surroundings, served, alone, self.elsewhere)
        if engine is not None:
            polling = EngineResource(engine, sharing)
            resources[socketio.PATH] = bodies[socketio.PATH] = polling
            routes[f"/{socketio.PATH}/"] = engine
        home: IResource = HomeResource(routes)
        if not alone:
            resources |= pages.resources
            home = pages.home(home)
        if engine is not None:
            routes[f"/{socketio.PATH}"] = engine
        if alone and (factory := protocols[alone].factory) is not None:
            routes["/"] = factory
            home = UpgradeResource(factory)
        limits = self.settings.limits
        return FrontDoorFactory(
            routes,
            WebSite(tree(resources, home), self.reactor, bodies=bodies),
            self.reactor,
            timeout=limits.handshake_timeout,
            longest=limits.handshake_bytes,
        )


def _cluster(settings: Settings, reactor: Any) -> Cluster:
    redis = settings.redis
    if not redis.url:
        return MemoryCluster()
    try:
        return RedisCluster(redis.url, reactor, prefix=redis.prefix)
    except ValueError as error:
        raise ValueError(f"redis.url: {error}") from None


def _origins_and_proxies(settings: Settings) -> tuple[OriginPolicy, TrustedProxies]:
    try:
        proxies = TrustedProxies(settings.limits.trusted_proxies)
    except ValueError:
        raise ValueError("limits.trusted_proxies: not addresses or networks") from None
    return OriginPolicy(settings.auth.origins), proxies


def _outside_issuer(auth: Auth, reactor: Any) -> OutsideIssuer | None:
    if not auth.issuer:
        return None
    keys: KeySource
    if auth.public_key_file:
        keys = PublicKeyFile(Path(auth.public_key_file))
    else:
        keys = RemoteKeySet(auth.jwks_url, agent=Agent(reactor), clock=reactor)
    return OutsideIssuer(
        issuer=auth.issuer,
        audience=auth.audience,
        algorithms=auth.algorithms,
        user_id_claim=auth.user_id_claim,
        user_name_claim=auth.user_name_claim,
        leeway=auth.leeway,
        keys=keys,
        now=reactor.seconds,
    )


def _token_checker(auth: Auth, reactor: Any) -> TokenChecker | None:
    if not auth.check_token_url:
        return None
    return TokenChecker(
        auth.check_token_url,
        agent=Agent(reactor),
        clock=reactor,
        timeout=auth.check_token_timeout,
        cache_seconds=auth.check_token_cache_seconds,
    )


def _endpoint(where: str, reactor: Any) -> Any:
    try:
        return serverFromString(reactor, where)
    except Exception:  # parsers of endpoints raise whatever they please
        raise ValueError(f"listen: {where!r} is no server endpoint") from None
