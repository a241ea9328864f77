"""Settings: what can be set, its type, its default and its meaning, all in this one place.

The configuration file (TOML) is decoded straight into these classes, and ``conf/realtime.toml`` is their
defaults written out (`realtime.config`), so that the two can't drift apart.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Listen(_Section, frozen=True):
    """[[listen]]: a place where clients connect; any number."""

    endpoint: Annotated[str, Meta(description="a Twisted server endpoint")] = "tcp:8080:interface=127.0.0.1"
    protocol: Annotated[
        Literal["", "talk", "workspace", "market", "messenger", "support"],
        Meta(description="serve this protocol alone, at / too; empty: all, by path"),
    ] = ""


class Database(_Section, frozen=True):
    """[database]: where everything is kept."""

    url: Annotated[str, Meta(description="sqlite:///path, postgresql://… or mysql://… (MariaDB and MySQL)")] = (
        "sqlite:///var/realtime.db"
    )
    pool_size: Annotated[int, Meta(ge=1, description="connections that read at once")] = 10
    waiting_writes: Annotated[
        int, Meta(ge=1, description="writes that may wait for a commit; more are refused at once")
    ] = 10_000
    timeout: Annotated[float, Meta(gt=0, description="seconds after which the database counts as away")] = 10.0


class Redis(_Section, frozen=True):
    """[redis]: what makes several processes one server."""

    url: Annotated[
        str, Meta(description="redis://, rediss:// or unix://; empty: one process, everything in memory")
    ] = ""
    prefix: Annotated[
        str, Meta(min_length=1, description="of all names there; two servers that share a Redis need two")
    ] = "realtime"


class Cluster(_Section, frozen=True):
    """[cluster]: what several processes ask each other directly; of no use without a Redis."""

    listen: Annotated[
        str, Meta(description="a Twisted server endpoint for the other processes; for nobody else")
    ] = "tcp:0:interface=127.0.0.1"
    advertise: Annotated[
        str, Meta(description="host:port that others reach it at; empty: as listened at, on one machine")
    ] = ""
    secret: Annotated[
        str, Meta(description="by which they know each other; empty: derived from the signing secret")
    ] = ""


class Auth(_Section, frozen=True):
    """[auth]: who is who, and how it is proved."""

    jwt_secret: Annotated[str, Meta(description="empty: generated once into state_dir/jwt-secret")] = ""
    jwt_secret_file: Annotated[str, Meta(description="a file that holds it instead")] = ""
    algorithms: Annotated[
        tuple[str, ...], Meta(description="the only ones ever accepted; HS* is for the own secret")
    ] = ("HS256",)
    public_key_file: Annotated[
        str, Meta(description="PEM key for RS/PS/ES/EdDSA tokens of the outside issuer")
    ] = ""
    jwks_url: Annotated[str, Meta(description="the same from a JWKS address, cached")] = ""
    issuer: Annotated[str, Meta(description="iss of the outside issuer's tokens; empty: none")] = ""
    audience: Annotated[str, Meta(description="aud that its tokens must have; empty: any")] = ""
    user_id_claim: Annotated[str, Meta(description="its claim that identifies a user")] = "sub"
    user_name_claim: Annotated[str, Meta(description="its claim that names a user")] = "username"
    check_token_url: Annotated[str, Meta(description="server asked with CHECK_TOKEN; empty: none")] = ""
    check_token_timeout: Annotated[float, Meta(gt=0, description="seconds for its whole answer")] = 5.0
    check_token_cache_seconds: Annotated[
        float, Meta(ge=0, description="in which a good token is not asked about again")
    ] = 60.0
    token_ttl: Annotated[int, Meta(ge=1, description="seconds that our own tokens are good for")] = 86_400
    leeway: Annotated[float, Meta(ge=0, description="seconds by which clocks may differ")] = 30.0
    cookie_name: Annotated[str, Meta(description="the cookie that may hold a token")] = "token"
    query_tokens: Annotated[
        bool, Meta(description="accept ?token=: browsers can't set headers on a WebSocket")
    ] = True
    origins: Annotated[
        tuple[str, ...],
        Meta(description="allowed Origin values; a cookie counts only for one listed literally"),
    ] = ("*",)
    sign_in_failures_per_minute: Annotated[
        int, Meta(ge=1, description="for each name, and for each address; more wait")
    ] = 10
    password_threads: Annotated[
        int, Meta(ge=1, description="threads that hash passwords; each keeps a core busy")
    ] = 2
    bcrypt_rounds: Annotated[
        int, Meta(ge=4, le=20, description="cost of a new password hash, doubling with each step")
    ] = 12


class Limits(_Section, frozen=True):
    """[limits]: what one peer may use."""

    message_bytes: Annotated[
        int, Meta(ge=125, description="longest message; may be set for each protocol too")
    ] = 65_536
    messages_per_second: Annotated[
        float, Meta(gt=0, description="for each connection, on average; a burst of twice as many")
    ] = 50.0
    connections_per_ip: Annotated[int, Meta(ge=0, description="0: unlimited")] = 0
    connections_per_user: Annotated[int, Meta(ge=0, description="0: unlimited")] = 20
    send_buffer_bytes: Annotated[
        int,
        Meta(ge=0, description="queued for a slow reader before it is closed with 4430"),
    ] = 1_048_576
    compression: Annotated[
        bool, Meta(description="permessage-deflate for clients that ask; costs memory and CPU")
    ] = False
    history_bytes: Annotated[
        int, Meta(ge=1024, description="a reply with history holds the newest that fit")
    ] = 524_288
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="addresses or networks whose X-Forwarded-For and -Proto are believed"),
    ] = ()
    unauthenticated_timeout: Annotated[
        float, Meta(gt=0, description="seconds a connection may stay without a valid token")
    ] = 30.0
    handshake_timeout: Annotated[float, Meta(gt=0, description="seconds for the whole opening handshake")] = (
        10.0
    )
    handshake_bytes: Annotated[int, Meta(ge=1024, description="longest request line with its headers")] = 16_384
    keepalive_interval: Annotated[
        float, Meta(gt=0, description="seconds of silence before a WebSocket ping")
    ] = 30.0
    keepalive_timeout: Annotated[
        float, Meta(gt=0, description="seconds a ping may stay unanswered before 4408")
    ] = 20.0


class Operations(_Section, frozen=True):
    """[operations]: for those who run it."""

    listen: Annotated[str, Meta(description="endpoint of /healthz, /readyz and /metrics; empty: off")] = (
        "tcp:8081:interface=127.0.0.1"
    )
    drain_seconds: Annotated[
        float, Meta(ge=0, description="over which a stopping server closes its connections")
    ] = 10.0
    workers: Annotated[
        int, Meta(ge=0, le=1024, description="processes that serve; more than one need [redis]; 0: this one")
    ] = 0
    log_format: Annotated[Literal["text", "json"], Meta(description="text, or json lines")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warn", "error"], Meta(description="the least that is logged")
    ] = "info"


class Web(_Section, frozen=True):
    """[web]: the pages for browsers."""

    playground: Annotated[bool, Meta(description="/: try every protocol out")] = True
    console: Annotated[bool, Meta(description="/console/: where operators work")] = True
    widget: Annotated[bool, Meta(description="/widget.js: a support chat for other sites' pages")] = True


class SocketIO(_Section, frozen=True):
    """[socketio]: /socket.io/, for workspace and talk."""

    message_bytes: Annotated[
        int, Meta(ge=1000, description="longest message, and longest POST of a polling client")
    ] = 1_000_000
    ping_interval: Annotated[float, Meta(gt=0, description="seconds between two pings")] = 25.0
    ping_timeout: Annotated[float, Meta(gt=0, description="seconds a ping may stay unanswered")] = 20.0
    upgrade_timeout: Annotated[float, Meta(gt=0, description="seconds for the upgrade to WebSocket")] = 10.0
    connect_timeout: Annotated[float, Meta(gt=0, description="seconds a connection may be in no namespace")] = (
        45.0
    )
    revision_3: Annotated[bool, Meta(description="serve clients of Socket.IO 2.x too")] = True


class Talk(_Section, frozen=True):
    """[talk]: strangers matched by score."""

    enabled: Annotated[bool, Meta(description="serve it")] = True
    message_bytes: Annotated[int, Meta(ge=0, description="longest message; 0: as [limits] says")] = 0
    find_timeout: Annotated[
        float, Meta(ge=0.001, description="seconds until the search for a partner ends")
    ] = 60.0
    confirm_timeout: Annotated[float, Meta(gt=0, description="seconds in which both have to confirm")] = 15.0
    talk_duration: Annotated[float, Meta(gt=0, description="seconds that a talk lasts")] = 180.0
    answer_timeout: Annotated[float, Meta(gt=0, description="seconds in which both have to answer")] = 60.0
    tolerance: Annotated[
        float, Meta(ge=0, description="distance of scores that will do at once; it grows with the wait")
    ] = 0.1
    score_span: Annotated[
        float, Meta(gt=0, description="width of the scale of scores: what will do after find_timeout")
    ] = 1.0
    at_deadline: Annotated[
        Literal["anyone", "fail"], Meta(description="whom a search takes when its time is up")
    ] = "anyone"
    rematch_after: Annotated[
        float, Meta(ge=0, description="seconds before a partner is met again, while there are others")
    ] = 300.0


class Workspace(_Section, frozen=True):
    """[workspace]: channels over Socket.IO."""

    enabled: Annotated[bool, Meta(description="serve it")] = True
    open: Annotated[bool, Meta(description="every account belongs to the first workspace")] = True
    recovery_seconds: Annotated[
        float, Meta(ge=0, description="in which a client that was lost gets what it missed; 0: never")
    ] = 120.0


class Market(_Section, frozen=True):
    """[market]: conversations about a service."""

    enabled: Annotated[bool, Meta(description="serve it")] = True
    message_bytes: Annotated[int, Meta(ge=0, description="longest packet; 0: as [limits] says")] = 0
    ping_interval: Annotated[float, Meta(gt=0, description="seconds between two PINGs")] = 5.0
    pong_timeout: Annotated[float, Meta(gt=0, description="seconds without PONG before 4408")] = 30.0
    escape_html: Annotated[
        bool, Meta(description="send & < > as entities, to clients that insert texts as HTML")
    ] = False


class Messenger(_Section, frozen=True):
    """[messenger]: a room, and dialogs that arrive."""

    enabled: Annotated[bool, Meta(description="serve it")] = True
    message_bytes: Annotated[
        int, Meta(ge=65_536, description="longest SAVE_AVATAR; all else ends at 65536")
    ] = 4_194_304
    takeover_timeout: Annotated[
        float, Meta(gt=0, description="seconds in which an older connection must show that it lives")
    ] = 3.0
    mailbox_limit: Annotated[int, Meta(ge=1, description="dialogs that may wait for one receiver")] = 1000
    mailbox_days: Annotated[float, Meta(gt=0, description="days that a dialog waits at most")] = 7.0
    window: Annotated[int, Meta(ge=1, description="dialogs on the wire that are not confirmed")] = 64
    window_bytes: Annotated[int, Meta(ge=1, description="the same in bytes")] = 262_144
    avatar_bytes: Annotated[int, Meta(ge=1, description="longest picture, decoded")] = 524_288
    time_unit: Annotated[Literal["seconds", "milliseconds"], Meta(description="unit of sendTime")] = "seconds"
    sealing: Annotated[
        Literal["off", "optional", "required"],
        Meta(description="serverData as a JWE; needs the extra txrealtime[sealing]"),
    ] = "off"


class Support(_Section, frozen=True):
    """[support]: customers talk to operators."""

    enabled: Annotated[bool, Meta(description="serve it")] = True
    message_bytes: Annotated[int, Meta(ge=0, description="longest message; 0: as [limits] says")] = 0
    push_id: Annotated[
        Literal["null", "message_id"],
        Meta(description="id of a push: null as in JSON-RPC 1.0, or as the sample draws it"),
    ] = "null"


class Settings(_Section, frozen=True):
    """Everything that can be set."""

    state_dir: Annotated[
        str,
        Meta(description="secrets, and the default database: sqlite:///<state_dir>/realtime.db"),
    ] = "var"
    listen: Annotated[tuple[Listen, ...], Meta(min_length=1)] = (Listen(),)
    database: Database = Database()
    redis: Redis = Redis()
    cluster: Cluster = Cluster()
    auth: Auth = Auth()
    limits: Limits = Limits()
    operations: Operations = Operations()
    web: Web = Web()
    socketio: SocketIO = SocketIO()
    talk: Talk = Talk()
    workspace: Workspace = Workspace()
    market: Market = Market()
    messenger: Messenger = Messenger()
    support: Support = Support()
