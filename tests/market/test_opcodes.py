"""The table of opcodes: the contract's numbers, names and directions, a body each."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from realtime.market import messages, opcodes
from realtime.market.opcodes import Direction, Opcode
from realtime.market.reading import SHAPES

CONTRACT = """
0x00 <= ERROR
0x01 <= PING
0x02 => PONG
0x05 => ASK CONVERSATIONS
0x06 <= RETURN CONVERSATIONS
0x07 => CREATE MSG
0x08 <= STATUS MSG
0x09 => OPENED CONVERSATION
0x10 <= ALERT NEW MSG
0x11 <= MSG SEEN
0xE0 <= UPDATE CONVERSATION DATAS
0xE1 => SERVICE CREATED
0xE2 => NOTE SUBMITTED
0xE3 => LITIGE CREATED
0xE4 => SERVICE TERMINATED
0xE5 => PRICE EDITED
0xE6 => NEGOTIATION END
0xFE => REPORT CONVERSATIONS
0xFF => REPORT MSG
"""
ARROWS = {Direction.TO_CLIENT: "<=", Direction.FROM_CLIENT: "=>"}


class TableTests(SynchronousTestCase):
    """Nothing missing, nothing twice."""

    def test_the_contract(self) -> None:
        """Each opcode of the contract is there, in its order, and no other."""
        lines = [f"0x{opcode:02X} {ARROWS[opcode.direction]} {opcode.title}" for opcode in Opcode]
        self.assertEqual(lines, CONTRACT.strip().splitlines())

    def test_the_document(self) -> None:
        """docs/market.md has the table as it is here."""
        page = (Path(__file__).parents[2] / "docs" / "market.md").read_text(encoding="utf-8")
        lines = [
            f"| 0x{opcode:02X} | {opcode:d} | {ARROWS[opcode.direction]} | {opcode.title} | {opcode.meaning} |"
            for opcode in Opcode
        ]
        self.assertEqual([line for line in page.splitlines() if line.startswith("| 0x")], lines)

    def test_a_body_each(self) -> None:
        """The bodies of either direction are its messages, each under one opcode."""
        for direction, union in (
            (Direction.FROM_CLIENT, messages.ClientMessage),
            (Direction.TO_CLIENT, messages.ServerMessage),
        ):
            bodies = [opcode.body for opcode in Opcode if opcode.direction is direction]
            self.assertEqual(len(bodies), len(set(bodies)))
            self.assertEqual(set(bodies), set(get_args(union)))

    def test_every_client_body_can_be_read(self) -> None:
        """There is a shape for each, and for nothing else."""
        self.assertEqual(set(SHAPES), {each.body for each in Opcode if each.direction is Direction.FROM_CLIENT})

    def test_a_message_says_its_opcode(self) -> None:
        """It follows from the type."""
        self.assertIs(opcodes.of(messages.Ping()), Opcode.PING)
        self.assertIs(opcodes.of(messages.ReportMessage(1)), Opcode.REPORT_MESSAGE)

    def test_every_opcode_is_described(self) -> None:
        """In one sentence."""
        for opcode in Opcode:
            self.assertRegex(opcode.meaning, r"^[A-Z][^.?]*[.?]$")
