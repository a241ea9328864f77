"""The types that our modules for browsers name in their comments, held by TypeScript's compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

from realtime.web.pages import FOLDER
from tests import node

_OPTIONS = (
    *("--allowJs", "--checkJs", "--strict", "--noEmit"),
    *("--target", "es2022", "--lib", "es2023,dom,dom.iterable", "--module", "esnext"),
)


def check(*modules: Path) -> str:
    """What the compiler finds wrong."""
    compiler = node.package_file("typescript/bin/tsc")
    command = ["node", str(compiler), *_OPTIONS, *map(str, modules)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def test_types() -> None:
    """What is said of messages, arguments and results is what the code does."""
    assert check(*(path for path in FOLDER.rglob("*.js") if path.name != "widget.js")) == ""


def test_types_are_looked_at(tmp_path: Path) -> None:
    """A wrong one is found."""
    wrong = tmp_path / "wrong.js"
    wrong.write_text(f"import {{ Support }} from '{FOLDER / 'client.js'}'\nnew Support('', '').send(5)\n")
    assert "'number' is not assignable to parameter of type 'string'" in check(wrong)
