"""Accounts for a real daemon, made and signed in as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

COMMAND = Path(sys.executable).parent / "realtime"


def add_user(folder: Path, name: str, *options: str, database_url: str = "") -> Deferred[str]:
    """Add an account, its name as password; fires with what the command prints."""
    environment = {**os.environ, "REALTIME_AUTH_BCRYPT_ROUNDS": "4"}
    if database_url:
        environment["REALTIME_DATABASE_URL"] = database_url

    def run() -> str:
        return subprocess.run(
            [str(COMMAND), "user", "add", name, "--password-stdin", *options],
            input=f"{name}\n",
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return deferToThread(run)


def sign_in(port: int, name: str) -> Deferred[str]:
    """Sign in with the name as password; fires with the token."""

    def post() -> str:
        body = json.dumps({"user_name": name, "password": name}).encode()
        with urlopen(Request(f"http://127.0.0.1:{port}/v1/auth/", data=body)) as answer:
            token: str = json.load(answer)["result"]["token"]
            return token

    return deferToThread(post)
