"""Settings: where they come from, what is refused and in which words."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, ClassVar, get_args, get_type_hints

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.config import ConfigurationError, load, render
from realtime.settings import (
    Auth,
    Database,
    Limits,
    Listen,
    Market,
    Messenger,
    Operations,
    Settings,
    SocketIO,
    Support,
    Talk,
    Workspace,
)

SECRET = "correct-horse-battery-staple"
SECTIONS = (
    Listen,
    Database,
    Auth,
    Limits,
    Operations,
    SocketIO,
    Talk,
    Workspace,
    Workspace,
    Market,
    Messenger,
    Support,
)


class ConfigTestCase(SynchronousTestCase):
    """Writes settings files."""

    def file(self, text: str | bytes) -> str:
        """A file that holds ``text``; its name."""
        with NamedTemporaryFile(suffix=".toml", delete=False) as file:
            path = Path(file.name)
        self.addCleanup(path.unlink, missing_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def refused(self, text: str | bytes = "", environment: Mapping[str, str] | None = None) -> str:
        """The one line that settings are refused with."""
        with self.assertRaises(ConfigurationError) as raised:
            load(self.file(text), environment=environment)
        message = str(raised.exception)
        self.assertEqual(len(message.splitlines()), 1, message)
        self.assertNotIn(SECRET, message)
        return message


class PrecedenceTests(ConfigTestCase):
    """Option, then environment, then file, then default."""

    FILE = '[database]\nurl = "sqlite:///file.db"\npool_size = 3\n[limits]\nmessage_bytes = 200\n'
    ENVIRONMENT: ClassVar = {"REALTIME_DATABASE_URL": "sqlite:///environment.db"}
    OPTIONS: ClassVar = {"database": {"url": "sqlite:///option.db"}}

    def test_nothing(self) -> None:
        """With nothing said everything has its default."""
        self.assertEqual(load(), Settings())

    def test_file_over_default(self) -> None:
        """What the file says counts; what it leaves out keeps its default."""
        settings = load(self.file(self.FILE))
        self.assertEqual(settings.database, Database(url="sqlite:///file.db", pool_size=3))
        self.assertEqual(settings.limits, Limits(message_bytes=200))
        self.assertEqual(settings.auth, Auth())

    def test_environment_over_file(self) -> None:
        """A variable takes the place of its own key alone."""
        settings = load(self.file(self.FILE), environment=self.ENVIRONMENT)
        self.assertEqual(settings.database, Database(url="sqlite:///environment.db", pool_size=3))

    def test_option_over_environment(self) -> None:
        """An option takes the place of a variable."""
        settings = load(self.file(self.FILE), environment=self.ENVIRONMENT, options=self.OPTIONS)
        self.assertEqual(settings.database, Database(url="sqlite:///option.db", pool_size=3))

    def test_listeners_are_replaced_not_added(self) -> None:
        """Listeners of an option stand instead of those of the file."""
        path = self.file('[[listen]]\nendpoint = "tcp:1"\n[[listen]]\nendpoint = "tcp:2"\n')
        self.assertEqual(load(path).listen, (Listen(endpoint="tcp:1"), Listen(endpoint="tcp:2")))
        settings = load(path, options={"listen": [{"endpoint": "tcp:3"}]})
        self.assertEqual(settings.listen, (Listen(endpoint="tcp:3"),))

    def test_options_are_not_changed(self) -> None:
        """What was handed in is as it was."""
        options: dict[str, Any] = {"database": {"pool_size": 2}}
        load(environment=self.ENVIRONMENT, options=options)
        self.assertEqual(options, {"database": {"pool_size": 2}})


class StateDirTests(ConfigTestCase):
    """The folder that moves the default database with it."""

    def test_moves_the_default_database(self) -> None:
        """The default database is in the state folder, wherever that was set."""
        for settings in (
            load(self.file('state_dir = "elsewhere"')),
            load(environment={"REALTIME_STATE_DIR": "elsewhere"}),
            load(options={"state_dir": "elsewhere"}),
        ):
            self.assertEqual(settings.database.url, "sqlite:///elsewhere/realtime.db")

    def test_absolute(self) -> None:
        """An absolute folder gives an address with four slashes."""
        settings = load(options={"state_dir": "/srv/realtime"})
        self.assertEqual(settings.database.url, "sqlite:////srv/realtime/realtime.db")

    def test_does_not_move_another_database(self) -> None:
        """A database that was named stays where it is."""
        settings = load(
            self.file('state_dir = "elsewhere"'),
            environment={"REALTIME_DATABASE_URL": "sqlite:///here.db"},
        )
        self.assertEqual(settings.database.url, "sqlite:///here.db")


class EnvironmentTests(ConfigTestCase):
    """Variables, which are all texts."""

    def test_every_type(self) -> None:
        """A text is read as the type of its setting."""
        settings = load(
            environment={
                "REALTIME_DATABASE_POOL_SIZE": "7",
                "REALTIME_AUTH_LEEWAY": "1.5",
                "REALTIME_AUTH_QUERY_TOKENS": "false",
                "REALTIME_AUTH_ORIGINS": "https://a.example, https://b.example",
                "REALTIME_AUTH_JWT_SECRET": "123456",
                "REALTIME_OPERATIONS_LOG_FORMAT": "json",
                "REALTIME_TALK_AT_DEADLINE": "fail",
                "REALTIME_SUPPORT_PUSH_ID": "message_id",
                "REALTIME_LISTEN": "tcp:1 unix:/run/realtime",
            }
        )
        self.assertEqual(settings.database.pool_size, 7)
        self.assertEqual(settings.auth.leeway, 1.5)
        self.assertIs(settings.auth.query_tokens, False)
        self.assertEqual(settings.auth.origins, ("https://a.example", "https://b.example"))
        self.assertEqual(settings.auth.jwt_secret, "123456")
        self.assertEqual(settings.operations.log_format, "json")
        self.assertEqual(settings.talk.at_deadline, "fail")
        self.assertEqual(settings.support.push_id, "message_id")
        self.assertEqual([each.endpoint for each in settings.listen], ["tcp:1", "unix:/run/realtime"])

    def test_every_setting_has_a_variable(self) -> None:
        """Whatever can stand in a section of the file can be set by a variable."""
        for section, name in (
            *((Database, "database"), (Auth, "auth"), (Limits, "limits"), (Talk, "talk")),
            (Market, "market"),
        ):
            for key, value in msgspec.structs.asdict(section()).items():
                text = ",".join(value) if isinstance(value, tuple) else str(value).lower()
                if not text or key == "algorithms":
                    continue
                load(environment={f"REALTIME_{name}_{key}".upper(): text})

    def test_empty_list(self) -> None:
        """An empty text is an empty list."""
        self.assertEqual(load(environment={"REALTIME_AUTH_ORIGINS": ""}).auth.origins, ())

    def test_unknown_key_of_a_section(self) -> None:
        """A variable that names a section but no key of it ends the start."""
        self.assertEqual(
            self.refused(environment={"REALTIME_DATABASE_ADDRESS": SECRET}),
            "REALTIME_DATABASE_ADDRESS: no such setting",
        )
        self.assertIn("REALTIME_AUTH:", self.refused(environment={"REALTIME_AUTH": SECRET}))

    def test_others_are_passed_over(self) -> None:
        """Variables that name no section are the platform's, whatever they say."""
        self.assertEqual(
            load(
                environment={
                    "REALTIME_SERVICE_HOST": "10.0.0.1",
                    "REALTIME_PORT": "tcp://x",
                    "PATH": "",
                }
            ),
            Settings(),
        )

    def test_wrong_type(self) -> None:
        """A text that is not of the type is refused by the variable's name, without the text."""
        message = self.refused(environment={"REALTIME_DATABASE_POOL_SIZE": SECRET})
        self.assertTrue(message.startswith("REALTIME_DATABASE_POOL_SIZE: "), message)
        message = self.refused(environment={"REALTIME_SUPPORT_PUSH_ID": SECRET})
        self.assertTrue(message.startswith("REALTIME_SUPPORT_PUSH_ID: "), message)

    def test_no_listener(self) -> None:
        """A server that would listen nowhere does not start."""
        self.assertIn("listen", self.refused(environment={"REALTIME_LISTEN": " "}))


class RefusedTests(ConfigTestCase):
    """Faults end the start with one line that names the key."""

    def test_unknown_keys(self) -> None:
        """A key, a section or a listener's key that does not exist is named with its place."""
        for text, key in (
            (f'colour = "{SECRET}"', "colour"),
            (f'[databse]\nurl = "{SECRET}"', "databse"),
            (f'[database]\nuri = "{SECRET}"', "database.uri"),
            (f'[[listen]]\nport = "{SECRET}"', "listen[0].port"),
            (f'"two\\nlines" = "{SECRET}"', "two lines"),
        ):
            self.assertEqual(self.refused(text), f"{key}: no such setting")

    def test_wrong_types(self) -> None:
        """A value of another type is refused by its key, without the value."""
        for text, key in (
            (f'[database]\npool_size = "{SECRET}"', "database.pool_size"),
            ("[database]\npool_size = true", "database.pool_size"),
            ("[database]\npool_size = 1.0", "database.pool_size"),
            ('[auth]\nquery_tokens = "yes"', "auth.query_tokens"),
            (f'[auth]\norigins = "{SECRET}"', "auth.origins"),
            (f'[auth]\norigins = [1, "{SECRET}"]', "auth.origins[0]"),
            ("[auth]\njwt_secret = 5", "auth.jwt_secret"),
            (f'database = "{SECRET}"', "database"),
            (f'listen = "{SECRET}"', "listen"),
        ):
            message = self.refused(text)
            self.assertTrue(message.startswith(f"{key}: "), message)

    def test_out_of_range(self) -> None:
        """A number that can't be meant is refused by its key."""
        for text, key in (
            ("[database]\npool_size = 0", "database.pool_size"),
            ("[database]\ntimeout = nan", "database.timeout"),
            ("[database]\ntimeout = inf", "database.timeout"),
            ("[operations]\ndrain_seconds = inf", "operations.drain_seconds"),
            ("[limits]\nmessages_per_second = 0", "limits.messages_per_second"),
            ("[limits]\nconnections_per_ip = -1", "limits.connections_per_ip"),
            ("[auth]\nbcrypt_rounds = 31", "auth.bcrypt_rounds"),
            ("[auth]\ncheck_token_timeout = 0", "auth.check_token_timeout"),
            ("[auth]\ncheck_token_cache_seconds = -1", "auth.check_token_cache_seconds"),
            ("[auth]\ncheck_token_cache_seconds = inf", "auth.check_token_cache_seconds"),
            ("[talk]\nfind_timeout = 1e-9", "talk.find_timeout"),
            ("[talk]\ntalk_duration = inf", "talk.talk_duration"),
            ("[talk]\nanswer_timeout = 0", "talk.answer_timeout"),
            ("[talk]\ntolerance = -0.1", "talk.tolerance"),
            ("[talk]\nscore_span = 0", "talk.score_span"),
            ("[talk]\nrematch_after = nan", "talk.rematch_after"),
            ("[market]\nmessage_bytes = -1", "market.message_bytes"),
            ("[market]\nping_interval = 0", "market.ping_interval"),
            ("[market]\npong_timeout = inf", "market.pong_timeout"),
        ):
            message = self.refused(text)
            self.assertTrue(message.startswith(f"{key}: "), message)

    def test_not_one_of_the_choices(self) -> None:
        """A word where others are asked for is refused by its key, without the word."""
        for text, key in (
            (f'[operations]\nlog_format = "{SECRET}"', "operations.log_format"),
            (f'[talk]\nat_deadline = "{SECRET}"', "talk.at_deadline"),
            (f'[support]\npush_id = "{SECRET}"', "support.push_id"),
            (f'[[listen]]\nprotocol = "{SECRET}"', "listen[0].protocol"),
        ):
            message = self.refused(text)
            self.assertTrue(message.startswith(f"{key}: "), message)

    def test_what_can_not_work(self) -> None:
        """Settings that are well-formed each but make no sense together are refused."""
        for text, key in (
            ('[auth]\nalgorithms = ["HS256", "None"]', "auth.algorithms"),
            ("[auth]\nalgorithms = []", "auth.algorithms"),
            ('[auth]\nissuer = "i"', "auth.issuer"),
            ('[auth]\njwks_url = "https://i"', "auth.issuer"),
            ('[auth]\nissuer = "i"\njwks_url = "u"\npublic_key_file = "f"', "auth.jwks_url"),
            ('[[listen]]\nprotocol = "support"\n[support]\nenabled = false', "listen[0].protocol"),
            ("[talk]\ntolerance = 1.1", "talk.tolerance"),
            ("[talk]\nscore_span = 0.05", "talk.tolerance"),
            ("[market]\npong_timeout = 5", "market.pong_timeout"),
            ("[market]\nping_interval = 30", "market.pong_timeout"),
        ):
            message = self.refused(text)
            self.assertTrue(message.startswith(f"{key}: "), message)

    def test_not_toml(self) -> None:
        """A file that is no TOML is named, with the place but not the text."""
        for text in (
            f"jwt_secret = {SECRET}",
            f'[auth]\nx = "{SECRET}',
            "a = 1\na = 2",
            "x = [" * 5000,
        ):
            path = self.file(text)
            with self.assertRaises(ConfigurationError) as raised:
                load(path)
            self.assertRegex(str(raised.exception), r"\A\S+: not TOML( \(at .*\))?\Z")
            self.assertTrue(str(raised.exception).startswith(path))
            self.assertNotIn(SECRET, str(raised.exception))

    def test_numbers_beyond_reading(self) -> None:
        """A number of more digits than Python reads is a fault of the file like another."""
        self.assertIn("not TOML", self.refused("[limits]\nmessage_bytes = " + "9" * 5000))

    def test_not_text(self) -> None:
        """A file that is no UTF-8 is named."""
        self.assertIn(": not UTF-8 text", self.refused(b"\xff\xfe"))

    def test_unreadable(self) -> None:
        """A file that is not there, or is a folder, is named with the system's reason."""
        for path in ("/nonexistent/realtime.toml", "/"):
            with self.assertRaises(ConfigurationError) as raised:
                load(path)
            self.assertTrue(str(raised.exception).startswith(f"{path}: can't be read: "))

    @given(text=st.text(max_size=60))
    def test_any_text(self, text: str) -> None:
        """Whatever a file holds, it gives settings or one line."""
        try:
            load(self.file(text.encode("utf-8", "surrogatepass")))
        except ConfigurationError as error:
            self.assertEqual(len(str(error).splitlines()), 1)


class RenderTests(ConfigTestCase):
    """The file that says everything."""

    def test_defaults_load_back(self) -> None:
        """The defaults, written and read again, are the defaults."""
        text = render(Settings())
        self.assertEqual(load(self.file(text)), Settings())

    def test_the_file_in_conf(self) -> None:
        """conf/realtime.toml is what the definitions say, to the letter."""
        path = Path(__file__).parent.parent / "conf" / "realtime.toml"
        self.assertEqual(path.read_text(encoding="utf-8"), render(Settings()))

    def test_every_key_is_there_with_its_meaning(self) -> None:
        """Each section and each key stands in the file, with a meaning beside it."""
        tree = tomllib.loads(render(Settings()))
        self.assertEqual(set(tree), set(Settings.__struct_fields__))
        for section in SECTIONS:
            name = section.__name__.lower()
            told = tree[name][0] if name == "listen" else tree[name]
            self.assertEqual(set(told), set(section.__struct_fields__))
        lines = [line for line in render(Settings()).splitlines() if line and line[0] != "#"]
        for line in lines:
            self.assertRegex(line, r"\S  *# \S.*[^.]\Z")
            self.assertLessEqual(len(line), 140, line)

    def test_every_key_has_a_meaning(self) -> None:
        """No setting is without a description."""
        for section in (Settings, *SECTIONS):
            for name, hint in get_type_hints(section, include_extras=True).items():
                if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
                    continue
                metas = [meta for meta in get_args(hint) if isinstance(meta, msgspec.Meta)]
                if name != "listen":
                    self.assertTrue(metas and metas[0].description, f"{section.__name__}.{name}")

    @given(
        text=st.text(st.characters(codec="utf-8"), max_size=30),
        origins=st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=3),
        number=st.floats(min_value=1e-3, max_value=1e9),
        flag=st.booleans(),
    )
    def test_any_settings_load_back(self, text: str, origins: list[str], number: float, flag: bool) -> None:
        """Whatever the settings are, the file says the same."""
        settings = Settings(
            state_dir=text,
            listen=(Listen(endpoint=text), Listen(protocol="support")),
            auth=Auth(jwt_secret=text, origins=tuple(origins), leeway=number, query_tokens=flag),
        )
        self.assertEqual(load(self.file(render(settings))), settings)
