"""The secret that signs this server's own tokens.

It is either given in the settings or made once and kept in the state directory. Either way it is a
line of text, so that the one which was made can be copied into the settings of another machine.

A secret is made at most once, however many processes start at the same moment (`realtime.files.create`).
"""

import secrets
from pathlib import Path

from twisted.logger import Logger

from realtime import files

MINIMUM_BYTES = 32  # RFC 7518, section 3.2: not less than the hash of HS256
FILE_NAME = "jwt-secret"

_log = Logger()


def load_secret(*, configured: str, configured_file: str, state_dir: Path) -> bytes:
    """The secret to sign with, at least 32 bytes.

    `configured` is `[auth] jwt_secret` and `configured_file` is `[auth] jwt_secret_file`; at most
    one of them is not empty. If both are empty, the secret is that of `state_dir`/jwt-secret, which
    is made on the first call (mode 0600, and `state_dir` itself 0700 if it is made too). A line end
    after the secret in a file does not count.

    Raises `ValueError`, with one line for the user, if the secret is too short or can't be had.
    """
    if configured and configured_file:
        raise ValueError("auth.jwt_secret and auth.jwt_secret_file: only one of them can be set")
    if configured:
        # What came from the environment may hold undecodable bytes; they count as they were.
        return _long_enough(configured.encode("utf-8", "surrogateescape"), "auth.jwt_secret")
    if configured_file:
        return _read(Path(configured_file), "auth.jwt_secret_file")
    path = state_dir / FILE_NAME
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            _log.warn("accounts: others than its owner may read {path}", path=str(path))
    except OSError as error:
        raise ValueError(f"state_dir: {path} cannot be used: {error.strerror}") from error
    return _read(path, "state_dir")


def _make(path: Path) -> None:
    """Put a new secret at `path`, unless another process is first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # 64 random bytes, so that the secret is long enough for HS512 too.
    files.create(path, secrets.token_urlsafe(64).encode("ascii") + b"\n")


def _read(path: Path, setting: str) -> bytes:
    try:
        secret = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ValueError(f"{setting}: {path} cannot be read: {error.strerror}") from error
    return _long_enough(secret, f"{setting}: {path}")


def _long_enough(secret: bytes, where: str) -> bytes:
    if len(secret) < MINIMUM_BYTES:
        raise ValueError(f"{where}: a secret must have at least {MINIMUM_BYTES} bytes, this has {len(secret)}")
    return secret
