"""The last safety net under every line that leaves the daemon: what looks like a secret is removed.

No part hands a secret to the log in the first place. This is for what a library writes of its own
accord: the address line of an HTTP request with ``?token=``, a header, a database address in an
error text. It knows secrets by their shape, so a bare token outside such a place isn't recognised.

A peer has a hand in many of these lines, so the time a line takes grows with its length alone: no
pattern begins with a repetition, and none can begin again inside what another try has scanned.
"""

import re

REMOVED = "[removed]"

# A name that ends so announces a secret, in a query string, in JSON and in a Python repr.
_NAMED = r"""
    (?P<name> (?: token | password | secret ) (?: \s? = \s? | ["']\s?:\s? ) )
    (?: b?"(?:[^"\\]|\\.)*" | b?'(?:[^'\\]|\\.)*' | [^\s&;,"'<>)}\]]+ )
"""
# A header whose whole value is secret, up to the end of the line or of the string it stands in.
_HEADER = r"""
    (?P<header> \b (?: authorization | authtoken | cookie ) ["']? \s? [:=] \s? )
    (?: b?"(?:[^"\\]|\\.)*" | b?'(?:[^'\\]|\\.)*' | [^\r\n"'}]+ )
"""
# "Bearer x" outside such a header, and "bearer, x" of a Sec-WebSocket-Protocol header.
_BEARER = r"""(?P<scheme> \b bearer ,? \s ) [^\s,;"'&<>)}\]]+"""
# A JSON Web Token: a JSON object in base64url begins with "eyJ".
_WEB_TOKEN = r"""(?<![\w-]) (?-i:eyJ) [\w-]+ \. [\w.-]+"""
# The password in an address: scheme://name:password@host.
_ADDRESS = r"""(?P<address> :// [^\s/:@"']* : ) [^\s/"']+ (?= @ )"""

_SECRET = re.compile("|".join((_HEADER, _NAMED, _BEARER, _WEB_TOKEN, _ADDRESS)), re.IGNORECASE | re.VERBOSE)


def redact(text: str) -> str:
    """Give `text` with everything that looks like a token, a password or a secret removed."""
    return _SECRET.sub(_without_secret, text)


def _without_secret(match: re.Match[str]) -> str:
    kept = match[match.lastgroup] if match.lastgroup else ""
    return f"{kept}{REMOVED}"
