"""States and their transitions as SVG that needs no script: a column, so that it fits a telephone. Pure.

What leads to the next state is an arrow between the two. What leads further has a lane on the right; on the
left are the lanes of what leads back, and what leads nowhere else. Transitions to one state for one reason
share a lane. Colours are the style sheet's.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from realtime.documents.model import Diagram, Transition

_WIDTH = 136
_HEIGHT = 34
_STEP = 84
_LANE = 26
_LETTER = 6.1
"""Pixels of a letter of a label, which is small."""
_MARGIN = 12


class _Lane:
    """A line beside the states: from all ``sources`` to one ``target``."""

    def __init__(self, target: int, label: str) -> None:
        self.target = target
        self.label = label
        self.sources: list[int] = []

    @property
    def span(self) -> tuple[int, int]:
        """The states that it passes, from the first to the last."""
        rows = [self.target, *self.sources]
        return min(rows), max(rows)


def svg(diagram: Diagram, name: str) -> str:
    """Return a diagram as an element. ``name`` begins the ids in it."""
    return _Drawing(diagram, name).svg()


class _Drawing:
    """A diagram that is being drawn: lines first, so that none goes over a label."""

    def __init__(self, diagram: Diagram, name: str) -> None:
        self._diagram = diagram
        self._name = name
        self._lines: list[str] = []
        self._labels: list[str] = []
        self._next: dict[int, list[str]] = {}
        self._own: dict[int, list[str]] = {}
        self._on: list[_Lane] = []
        self._back: list[_Lane] = []
        rows = {state: row for row, state in enumerate(diagram.states)}
        for each in diagram.transitions:
            self._sort(each, rows[each.source], rows[each.target])
        beside = [lane.label for lane in self._back] + [
            label for labels in self._own.values() for label in labels
        ]
        lanes = max(len(self._back), bool(self._own)) * _LANE
        self._left = _MARGIN + (_longest(beside) + lanes + _MARGIN if beside else 0)
        self._right = self._left + _WIDTH

    def _sort(self, each: Transition, source: int, target: int) -> None:
        if target == source:
            self._own.setdefault(source, []).append(each.label)
        elif target == source + 1:
            self._next.setdefault(source, []).append(each.label)
        else:
            lanes = self._on if target > source else self._back
            lane = next((one for one in lanes if (one.target, one.label) == (target, each.label)), None)
            if lane is None:
                lane = _Lane(target, each.label)
                lanes.append(lane)
            lane.sources.append(source)

    def svg(self) -> str:
        """Return the element."""
        for row, labels in self._next.items():
            self._step(row, labels)
        for row, labels in self._own.items():
            self._loop(row, labels)
        self._lanes(self._on, self._right, 1)
        self._lanes(self._back, self._left, -1)
        states = "".join(self._state(row, state) for row, state in enumerate(self._diagram.states))
        inner = self._left + _WIDTH / 2 + _longest(label for labels in self._next.values() for label in labels)
        outer = self._right + len(self._on) * _LANE + _longest(lane.label for lane in self._on)
        width, height = (
            max(inner, outer) + 2 * _MARGIN,
            self._y(len(self._diagram.states) - 1) + _HEIGHT / 2 + _MARGIN,
        )
        return (
            f'<svg class="states" role="img" aria-labelledby="{self._name}-title" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"><title id="{self._name}-title">'
            f"{escape(self._diagram.title)}: states, and what leads from one to another.</title>"
            f'<defs><marker id="{self._name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            'markerHeight="8" orient="auto"><path d="M0 0.5 7.5 4 0 7.5z"/></marker></defs>'
            f"{''.join(self._lines)}{states}{''.join(self._labels)}</svg>"
        )

    def _y(self, row: int) -> float:
        return _MARGIN + row * _STEP + _HEIGHT / 2

    def _state(self, row: int, state: str) -> str:
        x, y = self._left, self._y(row)
        kind = "first" if row == 0 else "last" if row == len(self._diagram.states) - 1 else "between"
        return (
            f'<rect class="{kind}" x="{x:.1f}" y="{y - _HEIGHT / 2}" width="{_WIDTH}" height="{_HEIGHT}" '
            'rx="8"/>'
            f'<text class="state" x="{x + _WIDTH / 2:.1f}" y="{y + 4.5}">{escape(state)}</text>'
        )

    def _step(self, row: int, labels: list[str]) -> None:
        x = self._left + _WIDTH / 2 - 30
        begin, end = self._y(row) + _HEIGHT / 2, self._y(row + 1) - _HEIGHT / 2
        self._line(f"M{x:.1f} {begin}V{end - 1}")
        self._write(x + 8, (begin + end) / 2 + 4, labels)

    def _loop(self, row: int, labels: list[str]) -> None:
        x, y = self._left, self._y(row)
        self._line(f"M{x:.1f} {y + 8}c-22 0 -22 -16 -1 -16")
        self._write(x - 22, y + 4, labels, "end")

    def _lanes(self, lanes: list[_Lane], edge: float, side: int) -> None:
        # The shortest is nearest. Lanes that end at one state do so at heights of their own.
        lanes.sort(key=lambda lane: lane.span[1] - lane.span[0])
        for number, lane in enumerate(lanes):
            x = edge + side * (number + 1) * _LANE
            target = self._y(lane.target) + (number - (len(lanes) - 1) / 2) * 7
            for source in lane.sources:
                self._line(f"M{edge:.1f} {self._y(source) + 6}H{x:.1f}V{target:.1f}H{edge + side:.1f}")
            middle = (self._y(lane.sources[0]) + target) / 2 + 4 + 15 * number
            self._write(x + 7 * side, middle, [lane.label], "start" if side > 0 else "end")

    def _line(self, shape: str) -> None:
        self._lines.append(f'<path class="arrow" d="{shape}" marker-end="url(#{self._name}-head)"/>')

    def _write(self, x: float, y: float, labels: list[str], anchor: str = "start") -> None:
        first = y - 7 * (len(labels) - 1)
        for number, label in enumerate(labels):
            self._labels.append(
                f'<text class="label" text-anchor="{anchor}" x="{x:.1f}" y="{first + 14 * number:.1f}">'
                f"{escape(label)}</text>"
            )


def _longest(labels: Iterable[str]) -> float:
    """Return how many pixels the longest label takes."""
    return max(map(len, labels), default=0) * _LETTER
