"""The model of how far it goes: that it adds up, and that the document says what it says."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bench import scaling
from bench.scaling import BUSY, CONNECTIONS, PROTOCOLS, Plan, hearing, load, plan, simulate_messages

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"


class ModelTests(SynchronousTestCase):
    """Sums."""

    def planned(self, name: str, people: int) -> Plan:
        """The plan for people of a protocol."""
        found = plan(next(each for each in PROTOCOLS if each.name == name), people)
        assert found is not None
        return found

    def test_enough(self) -> None:
        """What is planned is below what may be in use, and one process less would not do."""
        for protocol in PROTOCOLS:
            for people in (10_000, 1_000_000):
                found = self.planned(protocol.name, people)
                self.assertLessEqual(found.share, BUSY)
                self.assertLessEqual(people / found.processes, CONNECTIONS)
                if found.processes > 1:
                    fewer = load(protocol, people, found.processes - 1)
                    full = fewer.share > BUSY or people / (found.processes - 1) > CONNECTIONS
                    self.assertTrue(full or found.processes > 50)

    def test_hearing(self) -> None:
        """With one process nothing crosses; few hearers are on few others, many on all."""
        talk, workspace, *_ = PROTOCOLS
        self.assertEqual(hearing(talk, 1), 0)
        self.assertAlmostEqual(hearing(talk, 4), 3 / 4)
        self.assertGreater(hearing(workspace, 4), 2.99)

    def test_no_number_is_enough(self) -> None:
        """Where every process hears everything, more of them are no help in the end."""
        loud = next(each for each in PROTOCOLS if each.everywhere)
        self.assertIsNone(plan(loud, 10**9))

    def test_simulated(self) -> None:
        """The busier, the later; and never earlier than the commit."""
        protocol = next(each for each in PROTOCOLS if each.name == "market")
        calm = simulate_messages(protocol, load(protocol, 10_000, 4), messages=2_000)
        busy = simulate_messages(protocol, load(protocol, 400_000, 4), messages=2_000)
        self.assertGreater(calm.median, 2.0)
        self.assertGreater(busy.late, calm.late)

    def test_document(self) -> None:
        """The tables of the document are those that the model makes."""
        text = DOCUMENT.read_text()
        found = dict(re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", text, re.DOTALL))
        self.assertEqual(found, dict(scaling.tables()))
