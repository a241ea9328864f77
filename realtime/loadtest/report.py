"""What a load test says: a line while it runs, a table at its end, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from realtime.loadtest.load import Result, Second
from realtime.loadtest.statistics import Summary


def line(second: Second) -> str:
    """Return one second as a line."""
    parts = [
        f"{second.connected} connected",
        f"{second.sent}/s sent",
        f"{second.received}/s received",
        f"p50 {_ms(second.latency.p50)} p95 {_ms(second.latency.p95)} p99 {_ms(second.latency.p99)}",
    ]
    if second.errors:
        parts.append(f"{second.errors} errors")
    return "  ".join(parts)


def table(result: Result) -> str:
    """Return the end of a test as a table."""
    rows = [
        ("clients connected at the end", str(result.connected)),
        ("messages sent", str(result.sent)),
        ("messages received", str(result.received)),
        ("sent, but not received", str(result.lost)),
        ("not sent: no connection or partner", str(result.unsent)),
        ("received a second", str(result.received_a_second)),
        *_latencies("latency", result.latency),
        ("sent too late by us, p99", _ms(result.lateness.p99)),
        *((f"error: {name}", str(count)) for name, count in sorted(result.errors.items())),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:>12}" for name, value in rows)


def _latencies(name: str, summary: Summary) -> list[tuple[str, str]]:
    named = (("mean", summary.mean), ("p50", summary.p50), ("p95", summary.p95), ("p99", summary.p99))
    return [(f"{name}, {which}", _ms(value)) for which, value in (*named, ("largest", summary.max))]


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


# -- the picture -----------------------------------------------------------------------------------

_WIDTH: Final = 800
_HEIGHT: Final = 220
_LEFT: Final = 70
_GAP: Final = 50
_COLOURS: Final = ("#1f77b4", "#2ca02c", "#ff7f0e", "#d62728")

_Curve = tuple[str, Callable[[Second], float | None]]

_PANELS: Final[Sequence[tuple[str, Sequence[_Curve]]]] = (
    (
        "messages a second",
        (("sent", lambda second: second.sent), ("received", lambda second: second.received)),
    ),
    (
        "latency in milliseconds",
        (
            ("p50", lambda second: second.latency.p50),
            ("p95", lambda second: second.latency.p95),
            ("p99", lambda second: second.latency.p99),
        ),
    ),
    ("clients connected", (("connected", lambda second: second.connected),)),
)


def picture(title: str, seconds: Sequence[Second]) -> str:
    """Return the seconds of a test as an SVG: rates, latencies and connections over time."""
    height = 40 + len(_PANELS) * (_HEIGHT + _GAP)
    size = f'width="{_LEFT + _WIDTH + 20}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="16">{escape(title)}</text>',
    ]
    last = max((second.at for second in seconds), default=1.0)
    for number, (name, curves) in enumerate(_PANELS):
        parts += _panel(name, curves, seconds, last, top=50 + number * (_HEIGHT + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    name: str, curves: Sequence[_Curve], seconds: Sequence[Second], last: float, *, top: int
) -> list[str]:
    values = [value for second in seconds for _, of in curves if (value := of(second)) is not None]
    highest = _round_up(max(values, default=1.0))
    bottom = top + _HEIGHT
    parts = [f'<text x="{_LEFT}" y="{top - 6}">{escape(name)}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * _HEIGHT
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_LEFT + _WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{highest * share:g}</text>')
    for share in (0.0, 0.5, 1.0):
        x = _LEFT + share * _WIDTH
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{last * share:.0f} s</text>')
    for number, (label, of) in enumerate(curves):
        colour = _COLOURS[number]
        points = [
            f"{_LEFT + second.at / last * _WIDTH:.1f},{bottom - value / highest * _HEIGHT:.1f}"
            for second in seconds
            if (value := of(second)) is not None
        ]
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        x = _LEFT + _WIDTH - 90 * (len(curves) - number)
        parts.append(f'<text x="{x}" y="{top - 6}" fill="{colour}">{escape(label)}</text>')
    return parts


def _round_up(value: float) -> float:
    """Return a number that a scale may end with: 1, 2 or 5 times a power of ten, and not below the value."""
    step = 1e-3
    while True:
        for factor in (1, 2, 5):
            if step * factor >= value:
                return step * factor
        step *= 10
