"""``realtime asyncapi`` and ``realtime openapi``."""

from __future__ import annotations

import json

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from realtime.cli import main
from realtime.documents.asyncapi import asyncapi
from realtime.protocols.documents import DESCRIBED, describe, openapi_of
from tests.apidocs.validation import read


class CommandTests(SynchronousTestCase):
    """What they print."""

    def test_asyncapi(self) -> None:
        """The document of each protocol; of another, an error."""
        for name, description in DESCRIBED.items():
            printed = CliRunner().invoke(main, ["asyncapi", name])
            self.assertEqual(printed.exit_code, 0, printed.output)
            self.assertEqual(read(printed.output), asyncapi(description()))
        self.assertNotEqual(CliRunner().invoke(main, ["asyncapi", "gossip"]).exit_code, 0)

    def test_openapi(self) -> None:
        """The document of HTTP, with all protocols."""
        printed = CliRunner().invoke(main, ["openapi"])
        self.assertEqual(printed.exit_code, 0, printed.output)
        self.assertEqual(json.loads(printed.output), openapi_of(describe(DESCRIBED)))
