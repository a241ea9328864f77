"""Programs of Node.js, with the packages that `clients/package.json` names.

The packages are installed when a test first asks for them, beside their list, exactly as `package-lock.json`
says. Without node and npm the tests are skipped; with `TXREALTIME_REQUIRE_SERVICES=1` they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

CLIENTS = Path(__file__).parent / "clients"
_SECONDS = 120


def run(script: Path, asked: object) -> Any:
    """The JSON answer of a script to a JSON value on its standard input."""
    done = subprocess.run(
        [_program("node"), "--input-type=module", "--eval", script.read_text(encoding="utf-8")],
        cwd=_installed(),
        input=json.dumps(asked).encode(),
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return json.loads(done.stdout)


def command(script: Path) -> list[str]:
    """The command that runs a script of `CLIENTS`, in that folder, for whoever talks to it while it runs."""
    return [_program("node"), str(_installed() / script.name)]


def package_file(path: str) -> Path:
    """A file of an installed package (``"axe-core/axe.min.js"``)."""
    return _installed() / "node_modules" / path


@cache
def _installed() -> Path:
    """The folder that the packages are installed in."""
    npm = _program("npm")
    lock = CLIENTS / "package-lock.json"
    mark = CLIENTS / "node_modules" / ".installed"
    if not mark.exists() or mark.read_bytes() != lock.read_bytes():
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=CLIENTS, capture_output=True, timeout=_SECONDS, check=False)
        if done.returncode:
            _missing(f"npm can't install its packages: {done.stderr.decode(errors='replace')[-500:]}")
        shutil.copy(lock, mark)
    return CLIENTS


def _program(name: str) -> str:
    return shutil.which(name) or _missing(f"Node.js is not installed: there is no {name}")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("TXREALTIME_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
