"""The rules of the house, held by reading every module's imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import realtime

ROOT = Path(realtime.__file__).parent
SLICES = {"talk", "workspace", "market", "messenger", "support"}
KNOWS_ALL = {"wiring.py", "protocols", "tap.py", "cli.py", "daemon.py"}
# Clients speak with the slices' own messages; they sit above them as wiring does, and nothing below reaches up.
ABOVE = {"client", "loadtest"}
WHAT_CLIENTS_SHARE = {"messages", "opcodes", "codec"}
PURE = {"messages.py", "matching.py"}
WITHOUT_IO = {"session.py", *PURE}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Every module of the package, parsed."""
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST, *, top_level: bool = False) -> Iterator[str]:
    """The names of the modules that a module imports, with what it takes from them."""
    nodes = ast.iter_child_nodes(tree) if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class ImportTests(SynchronousTestCase):
    """Imports point one way."""

    def test_there_is_something_to_read(self) -> None:
        """The rules below are held against the modules, not against nothing."""
        names = {str(path) for path, _ in modules()}
        self.assertLessEqual({"wiring.py", "support/session.py", "websocket/connection.py"}, names)

    def test_slices_and_shared_rooms(self) -> None:
        """No slice imports another, no shared room imports a slice."""
        for path, tree in modules():
            own = path.parts[0] if path.parts[0] in SLICES else None
            if path.parts[0] in KNOWS_ALL | ABOVE:
                continue
            for name in imported(tree):
                parts = name.split(".")
                if parts[0] == "realtime" and parts[1] in SLICES:
                    self.assertEqual(parts[1], own, f"{path} imports {name}")

    def test_clients_know_what_crosses_the_wire(self) -> None:
        """Of a slice they import its messages and their codec, and nothing that serves."""
        for path, tree in modules():
            if path.parts[0] in ABOVE:
                for name in imported(tree):
                    parts = name.split(".")
                    if parts[0] == "realtime" and parts[1] in SLICES:
                        self.assertIn(parts[2], WHAT_CLIENTS_SHARE, f"{path} imports {name}")

    def test_nothing_imports_who_knows_all(self) -> None:
        """Parts do not reach back to the place where they were built."""
        above = {name.removesuffix(".py") for name in KNOWS_ALL | ABOVE}
        for path, tree in modules():
            if path.parts[0] not in KNOWS_ALL | ABOVE:
                for name in imported(tree):
                    parts = name.split(".")
                    self.assertFalse(parts[0] == "realtime" and parts[1] in above, f"{path} imports {name}")

    def test_what_crosses_the_wire_is_pure(self) -> None:
        """Messages and codecs import no Twisted."""
        for path, tree in modules():
            if path.name in PURE or path.parts[0] == "http":
                for name in imported(tree):
                    self.assertFalse(name.startswith(("twisted", "autobahn")), f"{path}: {name}")

    def test_sessions_have_no_transport(self) -> None:
        """Sessions import neither Autobahn nor a reactor."""
        for path, tree in modules():
            if path.name in WITHOUT_IO:
                for name in imported(tree):
                    self.assertFalse(
                        name.startswith("autobahn") or name == "twisted.internet.reactor",
                        f"{path}: {name}",
                    )

    def test_the_reactor_is_handed_in(self) -> None:
        """Nobody imports the reactor when a module is loaded, which would install it."""
        for path, tree in modules():
            for name in imported(tree, top_level=True):
                self.assertNotEqual(name, "twisted.internet.reactor", str(path))


class ShapeTests(SynchronousTestCase):
    """A module for each idea."""

    def test_modules_are_short(self) -> None:
        """None has more than 400 lines."""
        for path, _ in modules():
            lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
            self.assertLessEqual(lines, 400, str(path))

    def test_every_module_says_what_it_is_for(self) -> None:
        """Each begins with a docstring."""
        for path, tree in modules():
            self.assertTrue(ast.get_docstring(tree), str(path))
