"""Every path and method that is served is described, and no other."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime import protocols
from realtime.documents.model import Endpoint
from realtime.documents.openapi import openapi
from realtime.market.resource import ReportsResource
from realtime.operations import document as operations
from realtime.operations.health import Health
from realtime.operations.metrics import Metrics
from realtime.operations.site import OperationsSite
from realtime.protocols.documents import DESCRIBED
from realtime.talk.resource import TalksResource
from realtime.web import document as web
from realtime.web.api import ApiResource
from realtime.workspace.resource import WorkspacesResource

_APIS: dict[str, tuple[str, type[ApiResource]]] = {
    "talk": ("/v1/talks", TalksResource),
    "market": ("/v1/reports", ReportsResource),
    "workspace": ("/v1/workspaces", WorkspacesResource),
}


def patterns(handler: Any) -> Iterator[tuple[str | None, ...]]:
    """What a handler takes of a path, ``None`` for a variable part; nothing more if it does not look."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(handler)))
    cases = [each.pattern for each in ast.walk(tree) if isinstance(each, ast.match_case)]
    found = [tuple(map(_literal, each.patterns)) for each in cases if isinstance(each, ast.MatchSequence)]
    yield from found or [()]


def _literal(part: ast.pattern) -> str | None:
    if isinstance(part, ast.MatchValue) and isinstance(part.value, ast.Constant):
        return str(part.value.value)
    return None


def nameless(endpoint: Endpoint) -> tuple[str, str]:
    """An endpoint's method, and its path without the names of its parameters."""
    return endpoint.method, re.sub(r"\{\w+\}", "{}", endpoint.path)


class EndpointTests(SynchronousTestCase):
    """The endpoints of the descriptions."""

    def test_apis(self) -> None:
        """Each method and each path that the resources look for."""
        for name, (root, resource) in _APIS.items():
            served = {
                (method, "/".join([root, *("{}" if part is None else part for part in pattern)]))
                for method, handler in resource.handlers.items()
                for pattern in patterns(handler)
            }
            self.assertEqual(set(map(nameless, DESCRIBED[name]().endpoints)), served, name)

    def test_there_are_no_other_apis(self) -> None:
        """A new resource has to be described."""
        ours = [each for each in ApiResource.__subclasses__() if each.__module__.startswith("realtime.")]
        self.assertEqual(set(ours), {resource for _, resource in _APIS.values()})

    def test_paths(self) -> None:
        """Each path that a protocol's builder names is described."""
        for name, describe in DESCRIBED.items():
            module = getattr(protocols, name)
            source = inspect.getsource(module).replace("avatars.PATH:", '"avatars":')
            paths = set(re.findall(r'"(v1/\w+|avatars|\.well-known/[\w.]+)"', source))
            described = {"/".join(each.path.strip("/").split("/")[:2]) for each in describe().endpoints}
            roots = {path if path.startswith(("v1", ".")) else path.split("/")[0] for path in described}
            self.assertEqual(roots, paths, name)

    def test_operations(self) -> None:
        """What is on the listener for operations."""
        site: Any = OperationsSite(Health(Clock()), Metrics(), Clock())
        served = {path.decode() for path in site.resource._resources}
        self.assertEqual(served, {each.path for each in operations.ENDPOINTS})

    def test_path_parameters(self) -> None:
        """The parameters in a path are those that are described, and each key is there once."""
        endpoints = [
            *web.ENDPOINTS,
            *operations.ENDPOINTS,
            *(e for d in DESCRIBED.values() for e in d().endpoints),
        ]
        for each in endpoints:
            named = {parameter.name for parameter in each.parameters if parameter.in_path}
            self.assertEqual(named, set(re.findall(r"\{(\w+)\}", each.path)), each.key)
        self.assertEqual(len({each.key for each in endpoints}), len(endpoints))

    def test_refusals(self) -> None:
        """Who needs a token may be refused; who needs none is not told of that."""
        document = openapi([*web.ENDPOINTS, *DESCRIBED["talk"]().endpoints])
        talks = document["paths"]["/v1/talks"]["get"]["responses"]
        self.assertEqual(list(talks), ["200", "400", "401", "403", "503"])
        self.assertNotIn("401", document["paths"]["/v1/auth/"]["post"]["responses"])
        self.assertEqual(document["paths"]["/v1/auth/"]["post"]["security"], [])
