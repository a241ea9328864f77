"""Sealed values between this server and npm `jose`, in both directions, with a real node process."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.messenger.sealing import ClientKey, Sealer
from realtime.messenger.sealing_keys import key_set, make_sealing_key
from tests import node

SCRIPT = Path(__file__).with_name("jose_client.mjs")
TEXTS = ["{}", '{"message": "Привет, é, 🙂"}', '{"receiver": "7"}', json.dumps({"imageBase64": "A" * 700_000})]


class InteroperabilityTests(SynchronousTestCase):
    """A client that knows nothing of us but RFC 7516 and the key set."""

    def setUp(self) -> None:
        """Have a key."""
        self.key = make_sealing_key()

    def ask(self, **asked: Any) -> Any:
        """What the client answers."""
        return node.run(SCRIPT, asked)

    def both_ways(self, curve: str) -> None:
        """Open what the client sealed, and have it open what is sealed to the key that it names."""
        client = self.ask(keys=json.loads(key_set(self.key)), curve=curve, texts=TEXTS)
        sealer = Sealer(self.key)
        self.assertEqual([sealer.open(each).decode() for each in client["sealed"]], TEXTS)
        named = json.dumps(client["named"])
        for form in (client["named"], named, base64.urlsafe_b64encode(named.encode()).decode().rstrip("=")):
            sealed = [ClientKey.parse(form).seal(text.encode()) for text in TEXTS]
            opened = self.ask(key=client["key"], sealed=sealed)
            self.assertEqual(opened["texts"], TEXTS)
            for header in opened["headers"]:
                self.assertEqual((header["alg"], header["enc"]), ("ECDH-ES", "A256GCM"))

    def test_p256(self) -> None:
        """A client with a P-256 key, which it may name in three forms."""
        self.both_ways("P-256")

    def test_x25519(self) -> None:
        """A client with an X25519 key."""
        self.both_ways("X25519")
