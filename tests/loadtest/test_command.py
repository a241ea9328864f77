"""``realtime loadtest`` against a real daemon: each protocol, for a second."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from realtime.cli import main
from realtime.loadtest import command, people
from realtime.loadtest.load import Second
from realtime.loadtest.people import NotEnough, Person
from tests.endtoend.accounts import COMMAND
from tests.endtoend.conftest import Start
from tests.reactor import in_reactor


async def loadtest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""

    def run() -> subprocess.CompletedProcess[str]:
        arguments = [str(COMMAND), "loadtest", *options]
        return subprocess.run(arguments, cwd=folder, env=os.environ, capture_output=True, text=True)

    return await deferToThread(run)


@in_reactor
async def test_each_protocol(start_daemon: Start, tmp_path: Path) -> None:
    """All that is sent arrives. The first is the command's, the others use the accounts that it has made."""
    daemon = await start_daemon(environment={"REALTIME_TALK_TALK_DURATION": "1"})
    url = f"ws://127.0.0.1:{daemon.port}"
    short = ("--clients", "4", "--ramp", "0.2", "--duration", "1", "--rate", "40")
    done = await loadtest(tmp_path, "support", *short, "--url", url, "--output", "out")
    assert done.returncode == 0, done.stderr
    assert "messages received" in done.stdout
    written: Any = json.loads((tmp_path / "out" / "result.json").read_bytes())
    assert (written["plan"]["clients"], written["plan"]["protocol"]) == (4, "support")
    assert written["result"]["sent"] == written["result"]["received"] > 20
    assert (tmp_path / "out" / "result.svg").read_text().startswith("<svg")
    assert (tmp_path / "out" / "users.jsonl").stat().st_mode & 0o777 == 0o600

    known = people.read(tmp_path / "out" / "users.jsonl")
    for protocol in ("market", "messenger", "workspace", "talk"):
        plan = command.Plan(protocol, url, clients=4, ramp=0.2, duration=1.0, rate=40.0)
        seconds: list[Second] = []
        result = await command.run(plan, command.who(plan, known), reactor, seconds.append)
        assert result.errors == {}, protocol
        assert result.sent + result.unsent == 44, protocol
        if protocol == "talk":  # what is said as a talk ends may come to nobody
            assert result.sent >= result.received > 0
        else:
            assert result.received == result.sent > 0, protocol
        assert result.latency.p50
        assert seconds == result.seconds
        assert seconds


def test_what_can_not_be_done(tmp_path: Path) -> None:
    """Is told in one line."""
    (tmp_path / "few").write_text('{"id": 1, "name": "a", "token": "t"}\n')
    (tmp_path / "broken").write_text("{}\n")
    for file, said in (("few", "4 accounts"), ("broken", "id")):
        options = ["--clients", "4", "--users-file", str(tmp_path / file), "--output", str(tmp_path)]
        done = CliRunner().invoke(main, ["loadtest", "market", *options])
        assert done.exit_code == 1
        assert said in done.output
        assert done.output.count("\n") == 1


def test_who_takes_part(tmp_path: Path) -> None:
    """Is as many as are needed, of each kind; people come back from a file as they went."""
    known = [Person(number, f"user {number}", "t", is_admin=number == 3) for number in range(1, 6)]
    people.write(tmp_path / "users.jsonl", known)
    assert people.read(tmp_path / "users.jsonl") == known
    users, admins = people.choose(known, 3, 1)
    assert ([each.id for each in users], [each.id for each in admins]) == ([1, 2, 4], [3])
    for count in ((5, 1), (4, 2)):
        with pytest.raises(NotEnough):
            people.choose(known, *count)
