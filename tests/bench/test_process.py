"""What the benchmark reads from /proc."""

import os
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from bench.process import family, resident_bytes


class ProcessTests(SynchronousTestCase):
    """A process and those that it has started."""

    def test_a_child_counts_with_its_parent(self) -> None:
        """It is found, and its memory is added."""
        own = os.getpid()
        before, alone = family(own), resident_bytes(own)
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(b"x")
            child.stdin.flush()
            child.stdout.read(1)  # it runs
            self.assertEqual(set(family(own)) - set(before), {child.pid})
            self.assertGreater(resident_bytes(own), alone)
            child.stdin.close()
        self.assertNotIn(child.pid, family(own))
        self.assertEqual(before[0], own)
