"""The ``realtime`` command, as it is typed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from realtime.config import render
from realtime.settings import Settings
from tests.endtoend.accounts import COMMAND
from tests.endtoend.client import connect
from tests.endtoend.conftest import Start
from tests.reactor import in_reactor


def realtime(
    folder: Path,
    *arguments: str,
    text: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    own = {"REALTIME_AUTH_BCRYPT_ROUNDS": "4", **(environment or {})}
    return subprocess.run(
        [str(COMMAND), *arguments],
        cwd=folder,
        input=text,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a command failed."""
    assert (done.returncode, done.stdout) == (1, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("realtime: "), line
    return line.removeprefix("realtime: ")


def test_default_config(tmp_path: Path) -> None:
    """Prints what conf/realtime.toml holds."""
    printed = realtime(tmp_path, "default-config").stdout
    assert printed == render(Settings())
    assert printed == (Path(__file__).parents[2] / "conf" / "realtime.toml").read_text()


def test_check_config_of_a_good_file(tmp_path: Path) -> None:
    """Says so, and makes nothing."""
    (tmp_path / "good.toml").write_text("[limits]\nmessage_bytes = 4096\n")
    done = realtime(tmp_path, "check-config", "good.toml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "good.toml: good\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["good.toml"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[limits]\nmessage_byte = 4096\n", "limits.message_byte: no such setting"),
        ('[limits]\nmessage_bytes = "many"\n', "limits.message_bytes: expected `int`, got `str`"),
        ('[auth]\nalgorithms = ["none"]\n', 'auth.algorithms: at least one, and never "none"'),
        ('[database]\nurl = "oracle://u:hunter2@h/d"\n', "database.url: "),
        ('[[listen]]\nendpoint = "carrier-pigeon:8080"\n', "listen"),
        ('[limits]\ntrusted_proxies = ["nonsense"]\n', "limits.trusted_proxies: not addresses or networks"),
        ('[auth]\njwt_secret = "hunter2"\n', "auth.jwt_secret"),
        ('[auth]\npublic_key_file = "nowhere.pem"\nissuer = "i"\n', "auth.public_key_file"),
        ("not = [toml\n", "bad.toml: not TOML"),
    ],
)
def test_check_config_of_a_bad_file(tmp_path: Path, text: str, line: str) -> None:
    """Names the setting in one line, without its value, and ends with 1."""
    (tmp_path / "bad.toml").write_text(text)
    said = refusal(realtime(tmp_path, "check-config", "bad.toml"))
    assert said.startswith(line)
    assert "hunter2" not in said


def test_check_config_of_no_file(tmp_path: Path) -> None:
    """Says that it can't be read."""
    said = refusal(realtime(tmp_path, "check-config", "absent.toml"))
    assert said == "absent.toml: can't be read: No such file or directory"


def test_the_environment_counts_too(tmp_path: Path) -> None:
    """A file that is good may be spoilt by a variable."""
    (tmp_path / "good.toml").write_text("")
    environment = {"REALTIME_LIMITS_MESSAGE_BYTES": "many"}
    said = refusal(realtime(tmp_path, "check-config", "good.toml", environment=environment))
    assert said.startswith("REALTIME_LIMITS_MESSAGE_BYTES: ")


def test_users(tmp_path: Path) -> None:
    """Are added, listed and refused."""
    added = realtime(tmp_path, "user", "add", "alice", "--password-stdin", text="secret\n")
    assert (added.returncode, added.stdout) == (0, "user 1: alice\n")
    realtime(tmp_path, "user", "add", "olga", "--admin", "--password-stdin", text="secret\n")
    assert realtime(tmp_path, "user", "list").stdout == "1\talice\n2\tolga\tadmin\n"

    again = realtime(tmp_path, "user", "add", "alice", "--password-stdin", text="other\n")
    assert refusal(again) == "there is a user alice already"
    for name, password in (("x" * 256, "secret"), ("", "secret"), ("bob", "x" * 73), ("bob", "")):
        done = realtime(tmp_path, "user", "add", name, "--password-stdin", text=f"{password}\n")
        assert "Traceback" not in refusal(done)
    assert realtime(tmp_path, "user", "list").stdout.count("\n") == 2
    assert refusal(realtime(tmp_path, "user", "password", "nobody", "--password-stdin", text="x\n"))
    assert refusal(realtime(tmp_path, "token", "nobody")) == "there is no user nobody"


def test_settings_from_a_file(tmp_path: Path) -> None:
    """``--config`` comes before the subcommand, as with twistd."""
    (tmp_path / "realtime.toml").write_text('state_dir = "elsewhere"\n')
    done = realtime(tmp_path, "--config", "realtime.toml", "user", "add", "a", "--password-stdin", text="a\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere" / "realtime.db").exists()
    assert not (tmp_path / "var").exists()


def test_migrate(tmp_path: Path) -> None:
    """Says what it did, once."""
    first = realtime(tmp_path, "migrate")
    assert (first.returncode, first.stdout) == (0, "the database is up to date\n")
    assert "new, now at" in first.stderr
    assert realtime(tmp_path, "migrate").stderr == ""


def test_a_database_that_is_away(tmp_path: Path) -> None:
    """Is said to be, in one line without its password."""
    environment = {"REALTIME_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d"}
    said = refusal(realtime(tmp_path, "user", "list", environment=environment))
    assert "127.0.0.1" in said
    assert "hunter2" not in said


@in_reactor
async def test_tokens(start_daemon: Start, tmp_path: Path) -> None:
    """A printed token is accepted by the running daemon, until it or the password is changed."""
    realtime(tmp_path, "user", "add", "alice", "--password-stdin", text="alice\n")
    daemon = await start_daemon()
    token = realtime(tmp_path, "token", "alice").stdout.strip()
    client = await connect(daemon.port)
    assert (await client.request("message.auth", token))["error"] is None

    assert realtime(tmp_path, "token", "alice", "--revoke").stdout == "the tokens of alice are revoked\n"
    client = await connect(daemon.port)
    client.sendMessage(b'{"method": "message.auth", "params": ["%s"], "id": 1}' % token.encode())
    assert await client.closed == 4401

    token = realtime(tmp_path, "token", "alice").stdout.strip()
    realtime(tmp_path, "user", "password", "alice", "--password-stdin", text="other\n")
    client = await connect(daemon.port)
    client.sendMessage(b'{"method": "message.auth", "params": ["%s"], "id": 1}' % token.encode())
    assert await client.closed == 4401
    await daemon.stop()


def test_reports(tmp_path: Path) -> None:
    """Lists what was reported, one line each whatever the reason holds, and marks it as resolved."""
    assert realtime(tmp_path, "user", "add", "alice", "--password-stdin", text="alice\n").returncode == 0
    with closing(sqlite3.connect(tmp_path / "var" / "realtime.db")) as database, database:
        database.executemany(
            "INSERT INTO market_reports (reporter_id, kind, object_id, reason, created) VALUES (1, ?, ?, ?, ?)",
            [("text", None, "rude\n\x1b[31mred", 1000), ("conversation", 7, None, 2000)],
        )
    first = "1\t1970-01-01T00:00:01Z\talice\ttext\t\trude  [31mred"
    second = "2\t1970-01-01T00:00:02Z\talice\tconversation 7"
    assert realtime(tmp_path, "report", "list").stdout.splitlines() == [second, first]
    done = realtime(tmp_path, "report", "resolve", "2")
    assert done.stdout.splitlines() == [f"{second}\tresolved"]
    assert realtime(tmp_path, "report", "list").stdout.splitlines() == [first]
    assert realtime(tmp_path, "report", "list", "--all").stdout.splitlines() == [f"{second}\tresolved", first]
    assert refusal(realtime(tmp_path, "report", "resolve", "3")) == "there is no report 3"
