import msgspec
from twisted.trial.unittest import SynchronousTestCase

from realtime.config import load
from realtime.supervision.messages import (
    Alive,
    Ask,
    Begin,
    Drain,
    Failing,
    Family,
    FromParent,
    FromWorker,
    Measured,
    Ready,
    ToParent,
    ToWorker,
    frame,
)

SETTINGS = load(
    options={
        "limits": {"messages_per_second": 0.1, "trusted_proxies": ["10.0.0.0/8"]},
        "redis": {"url": "redis://x"},
    }
)

TO_WORKER: list[ToWorker] = [
    Begin(slot=3, settings=SETTINGS, endpoints=((7, 2), (8, 1)), demo=True),
    Ask(1, "readiness"),
    Ask(2, "metrics"),
    Drain(),
]
SAMPLES: tuple[tuple[str, dict[str, str], float, float | None], ...] = (
    ("x_total", {"protocol": "talk"}, 1.5, None),
    ("x_total", {}, float("inf"), 7.0),
)
TO_PARENT: list[ToParent] = [
    Alive(),
    Ready(),
    Failing(1, ("redis", "database")),
    Measured(2, (Family("x", "What.", "counter", "", SAMPLES),)),
]


class FrameTests(SynchronousTestCase):
    """What is said at one end of a pipe is heard at the other."""

    def test_whole(self) -> None:
        """All settings, infinities and texts arrive as they were, in their order."""
        self.assertEqual(list(FromParent().feed(b"".join(map(frame, TO_WORKER)))), TO_WORKER)
        self.assertEqual(list(FromWorker().feed(b"".join(map(frame, TO_PARENT)))), TO_PARENT)

    def test_in_pieces(self) -> None:
        """However the pipe cuts it."""
        said = b"".join(map(frame, TO_PARENT))
        for size in (1, 3, 7):
            frames = FromWorker()
            heard: list[ToParent] = []
            for start in range(0, len(said), size):
                heard += frames.feed(said[start : start + size])
            self.assertEqual(heard, TO_PARENT, size)

    def test_anything_else(self) -> None:
        """What is no message of that direction is refused."""
        for body in (frame(Drain()), b"\0\0\0\1\xc1", b"\0\0\0\0"):
            self.assertRaises(msgspec.MsgspecError, list, FromWorker().feed(body))
