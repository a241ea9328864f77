"""The package as it is installed: from a wheel, from the source, and editable."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.endtoend.daemon import DaemonProcess
from tests.reactor import in_reactor

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, folder: Path) -> str:
    """Run a command in a folder; its output is returned, or shown if it fails."""
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source, in which tools may leave what they like."""
    copy = tmp_path_factory.mktemp("source") / "realtime"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "var", "results")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder=source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A new environment. It sees the libraries of this one, but not the package installed here."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=tmp_path)
    (packages,) = folder.glob("lib/python*/site-packages")
    for library in Path(site.getsitepackages()[0]).iterdir():
        # Each by a link: a path file would bring the editable install's path file along.
        if "txrealtime" not in library.name and library.name != "twisted":
            (packages / library.name).symlink_to(library)
    # Plugins are installed into Twisted's own folder.
    shutil.copytree(Path(site.getsitepackages()[0]) / "twisted", packages / "twisted")
    return folder


def install(environment: Path, *what: str | Path) -> None:
    """Install into an environment, without looking for libraries."""
    python = environment / "bin" / "python"
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    run(python, "-m", "pip", "install", *options, *what, folder=environment)
    # Twisted's own script belongs to the environment that its library is linked from.
    script = environment / "bin" / "twistd"
    script.write_text(f"#!{python}\nfrom twisted.scripts.twistd import run\nrun()\n")
    script.chmod(0o755)


def test_the_wheel_holds_everything(wheel: Path) -> None:
    """The plugin, the migrations, the marker for types; nothing of the tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        *("twisted/plugins/realtime_plugin.py", "realtime/py.typed", "realtime/storage/migrations/env.py"),
        "realtime/storage/migrations/versions/0001_support.py",
    } <= names
    assert not {"twisted/__init__.py", "twisted/plugins/__init__.py"} & names
    assert not [name for name in names if name.startswith(("tests", "bench"))]


@pytest.mark.parametrize("kind", ["wheel", "source", "editable"])
@in_reactor
async def test_installed(kind: str, wheel: Path, source: Path, environment: Path, tmp_path: Path) -> None:
    """Twistd knows the plugin, the command runs, and the daemon serves."""
    install(environment, *{"wheel": (wheel,), "source": (source,), "editable": ("-e", source)}[kind])
    python = environment / "bin" / "python"
    where = run(python, "-c", "import realtime; print(realtime.__file__)", folder=tmp_path).strip()
    assert Path(where).is_relative_to(source if kind == "editable" else environment)
    assert "realtime" in run(environment / "bin" / "twistd", "--help", folder=tmp_path)
    assert "[database]" in run(environment / "bin" / "realtime", "default-config", folder=tmp_path)
    daemon = DaemonProcess(tmp_path, twistd=environment / "bin" / "twistd")
    await daemon.start()
    await daemon.kill()
