"""Reads the settings from a file, the environment and the command line, and writes them.

Precedence: command line option, then environment, then file, then default. An environment variable
is ``REALTIME_`` with the section and the key (``REALTIME_DATABASE_URL``, ``REALTIME_STATE_DIR``).
One that names a section but no key of it ends the start, as an unknown key of the file does; other
``REALTIME_…`` variables are passed over, because container platforms put some of their own there (a
Kubernetes service called "realtime" adds ``REALTIME_SERVICE_HOST``, and more).

Every fault is a :class:`ConfigurationError` with one line that names the key and never its value,
which may be a secret.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from realtime.settings import Settings


class ConfigurationError(Exception):
    """The settings can't be used; the text is one line that names the key."""


def load(
    path: str | Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings.

    ``path`` names a TOML file, ``environment`` is ``os.environ`` or the like, and ``options`` is a
    tree of the file's shape with what the command line says (``{"database": {"url": …}}``).
    Raises :class:`ConfigurationError`.
    """
    tree: dict[str, Any] = {} if path is None else _read(path)
    _merge(tree, _from_environment(environment or {}))
    _merge(tree, options or {})
    state_dir = tree.get("state_dir")
    database = tree.setdefault("database", {})
    if isinstance(state_dir, str) and isinstance(database, dict):
        database.setdefault("url", f"sqlite:///{Path(state_dir) / 'realtime.db'}")
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_in_one_line(str(error))) from None
    _check(settings)
    return settings


def render(settings: Settings) -> str:
    """Return a TOML file that says what ``settings`` says, each key with its meaning beside it."""
    lines = ["# Every setting and its default. What is left out keeps its default."]
    hints = get_type_hints(Settings, include_extras=True)
    lines += ["", _line("state_dir", settings.state_dir, hints["state_dir"])]
    for section in (*settings.listen, *(getattr(settings, name) for name in _section_names())):
        heading, _, meaning = (type(section).__doc__ or "").partition(": ")
        lines += ["", f"{heading:<40}# {meaning.rstrip('.')}", *_lines(section)]
    return "\n".join(lines) + "\n"


def _section_names() -> list[str]:
    hints = get_type_hints(Settings)
    return [name for name, hint in hints.items() if isinstance(hint, type) and hint is not str]


def _lines(section: Struct) -> list[str]:
    hints = get_type_hints(type(section), include_extras=True)
    return [_line(name, getattr(section, name), hints[name]) for name in section.__struct_fields__]


def _line(name: str, value: object, hint: Any) -> str:
    # A JSON text, a JSON list of texts, a number and a bool are the same in TOML; but for one sign.
    json = msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    assignment = f"{name} = {json}"
    return f"{assignment:<39} # {_meaning(hint)}"


def _meaning(hint: Any) -> str:
    return next(meta.description for meta in get_args(hint) if isinstance(meta, Meta)) or ""


def _read(path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None
    except (ValueError, RecursionError) as error:  # what it can't parse, and what it gives up on
        place = re.search(r" \(at .*\)$", str(error))
        raise ConfigurationError(f"{path}: not TOML{place.group() if place else ''}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    hints = get_type_hints(Settings)
    for variable, text in environment.items():
        if not variable.startswith("REALTIME_"):
            continue
        name = variable.removeprefix("REALTIME_").lower()
        if name == "state_dir":
            tree["state_dir"] = text
        elif name == "listen":
            tree["listen"] = [{"endpoint": endpoint} for endpoint in text.split()]
        else:
            section, _, key = name.partition("_")
            if section not in _section_names():
                continue
            keys = get_type_hints(hints[section])
            if key not in keys:
                raise ConfigurationError(f"{variable}: no such setting")
            tree.setdefault(section, {})[key] = _from_text(variable, text, keys[key])
    return tree


def _from_text(variable: str, text: str, kind: Any) -> Any:
    """Read a variable's text as the type of its setting; items of a list stand between commas."""
    if kind == tuple[str, ...]:
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{variable}: {_in_one_line(str(error))}") from None


def _merge(tree: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        below = tree.get(key)
        if isinstance(below, dict) and isinstance(value, Mapping):
            _merge(below, value)
        else:
            tree[key] = value


_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)


def _in_one_line(error: str) -> str:
    match = cast("re.Match[str]", _WHERE.match(error))
    where, what = match["where"] or "", match["what"]
    unknown = _UNKNOWN.match(what)
    if unknown:
        key = ".".join(part for part in (where, unknown["field"]) if part)
        return f"{' '.join(key.split())}: no such setting"
    what = re.sub(r"^Invalid enum value .*", "not one of the values it may have", what)
    what = what[:1].lower() + what[1:]
    return f"{where}: {what}" if where else what


def _check(settings: Settings) -> None:
    """Refuse what is well-formed but can't work."""
    for section in _section_names():
        for key, value in msgspec.structs.asdict(getattr(settings, section)).items():
            if isinstance(value, float) and math.isinf(value):  # no timer can wait that long
                raise ConfigurationError(f"{section}.{key}: must be finite")
    auth = settings.auth
    if not auth.algorithms or any(name.lower() == "none" for name in auth.algorithms):
        raise ConfigurationError('auth.algorithms: at least one, and never "none"')
    if auth.public_key_file and auth.jwks_url:
        raise ConfigurationError("auth.jwks_url: auth.public_key_file is set already")
    if auth.issuer and not (auth.public_key_file or auth.jwks_url):
        raise ConfigurationError("auth.issuer: needs auth.public_key_file or auth.jwks_url")
    if (auth.public_key_file or auth.jwks_url) and not auth.issuer:
        raise ConfigurationError("auth.issuer: must name whose tokens the public key checks")
    if settings.operations.workers > 1 and not settings.redis.url:
        raise ConfigurationError("redis.url: must be set, for operations.workers to be one server")
    if settings.talk.tolerance > settings.talk.score_span:
        raise ConfigurationError("talk.tolerance: more than talk.score_span")
    if settings.market.pong_timeout <= settings.market.ping_interval:
        raise ConfigurationError("market.pong_timeout: not longer than market.ping_interval")
    for index, listen in enumerate(settings.listen):
        if listen.protocol and not getattr(settings, listen.protocol).enabled:
            raise ConfigurationError(f"listen[{index}].protocol: {listen.protocol} is not enabled")
