"""Draws docs/resilience.svg: the gaps of all faults and sizes on a logarithmic axis, for both clients. Pure.

The background is white wherever the picture is shown, so that it can be read beside light and dark text.
"""

from __future__ import annotations

import math
import statistics
from itertools import groupby
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from shared.session_storage.sizes import Size
from tests.chaos.figures import longest, summaries
from tests.chaos.peers import BY_FAULT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.figures import Summary
    from tests.chaos.peers import Peer
    from tests.chaos.report import Measured
    from tests.chaos.verdicts import Verdict

WIDTH: Final = 960
LEFT: Final = 190
"""Where the axis begins."""
RIGHT: Final = 930
"""Where the axis ends."""
TOP: Final = 96
ROW: Final = 26
HEADING: Final = 24
LANE: Final = 7
"""Distance between the lanes of one row: go-redis, the impatient client, a peer."""
SECONDS: Final = (0.01, 60.0)
TICKS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
INK: Final = "#1f2328"
FAINT: Final = "#d0d7de"
PAPER: Final = "#ffffff"
GO_REDIS: Final = "#0969da"
IMPATIENT: Final = "#bc4c00"
PEER: Final = "#6e7781"
FLOORS: Final = {"endpoints": ("one EndpointSlice patched at rest", "5 3"), "selector": ("one selector", "1 3")}
"""What the floor's lines are called, and the dashes of each."""


def svg(measured: Measured) -> str:
    """Write the picture."""
    body, height = _rows(summaries(measured.trials))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 12}" role="img"'
        f' font-family="sans-serif" font-size="12" fill="{INK}">\n'
        "<title>Longest time without an acknowledged write, by fault and size</title>\n"
        f'<rect width="{WIDTH}" height="{height + 12}" fill="{PAPER}"/>\n'
    )
    return "".join((head, *_legend(measured), *_axis(height), *_floors(measured, height), *body, "</svg>\n"))


def place(seconds: float) -> float:
    """Tell where on the axis a duration lies, in units of the picture; what lies outside is at an end."""
    low, high = map(math.log10, SECONDS)
    share = (math.log10(max(seconds, SECONDS[0])) - low) / (high - low)
    return round(LEFT + min(share, 1) * (RIGHT - LEFT), 1)


def _legend(measured: Measured) -> Iterator[str]:
    yield _text(16, 22, "Longest time without an acknowledged write, in seconds", ' font-size="15" font-weight="bold"')
    for x, colour, name in ((22, GO_REDIS, "go-redis, as in ToolHive"), (230, IMPATIENT, "impatient client")):
        yield _span(x, x + 18, colour, 44)
        yield _text(x + 28, 48, name)
    yield _diamond(390, 44)
    yield _text(400, 48, "best run of another operator")
    yield _text(620, 48, "●  median of the runs     |  worst run")
    x = 22
    for way, took in _floor_of(measured):
        name, dashes = FLOORS[way]
        yield _line((x, 68), (x + 22, 68), INK, f' stroke-dasharray="{dashes}"')
        yield _text(x + 30, 72, f"floor: {name}, {statistics.median(took) * 1000:.0f} ms")
        x += 320


def _axis(height: float) -> Iterator[str]:
    for tick in TICKS:
        yield _line((place(tick), TOP), (place(tick), height), FAINT)
        yield _text(place(tick), TOP - 6, f"{tick:g}", ' text-anchor="middle"')


def _floors(measured: Measured, height: float) -> Iterator[str]:
    for way, took in _floor_of(measured):
        x = place(statistics.median(took))
        yield _line((x, TOP), (x, height), INK, f' stroke-dasharray="{FLOORS[way][1]}"')


def _floor_of(measured: Measured) -> Iterator[tuple[str, Sequence[float]]]:
    for way, took in (("endpoints", measured.floor.endpoints), ("selector", measured.floor.selector)):
        if took:
            yield way, took


def _rows(found: dict[tuple[str, str], Summary]) -> tuple[list[str], float]:
    """Draw a heading for each size and a row for each of its faults; return these and where they end."""
    drawn: list[str] = []
    y = float(TOP)
    for size, keys in groupby(found, key=lambda key: key[1]):
        y += HEADING
        drawn.append(_text(16, y - 6, size, ' font-weight="bold"'))
        for key in keys:
            drawn += _row(y + ROW / 2, key, found[key])
            y += ROW
    return drawn, y


def _row(y: float, key: tuple[str, str], summary: Summary) -> Iterator[str]:
    fault, size = key
    yield _text(LEFT - 12, y + 4, fault, ' text-anchor="end"')
    yield _gaps(summary.verdicts, GO_REDIS, y - LANE)
    yield _gaps(summary.impatient, IMPATIENT, y)
    if size == Size.LARGE and (peer := BY_FAULT.get(fault)):
        yield _peer(peer, y + LANE)


def _gaps(verdicts: Sequence[Verdict], colour: str, y: float) -> str:
    gaps = longest(verdicts)
    return _span(place(statistics.median(gaps)), place(max(gaps)), colour, y) if gaps else ""


def _span(median: float, worst: float, colour: str, y: float) -> str:
    return (
        _line((median, y), (worst, y), colour, ' stroke-width="1.5"')
        + f'<circle cx="{median}" cy="{y}" r="3.2" fill="{colour}"/>\n'
        + _line((worst, y - 3.5), (worst, y + 3.5), colour, ' stroke-width="2"')
    )


def _peer(peer: Peer, y: float) -> str:
    x = place(peer.seconds)
    return _diamond(x, y) + _text(x + 8, y + 3.5, f"{peer.nickname} {peer.seconds:g}", f' font-size="10" fill="{PEER}"')


def _diamond(x: float, y: float) -> str:
    return f'<path d="M{x - 4} {y}L{x} {y - 4}L{x + 4} {y}L{x} {y + 4}Z" fill="{PEER}"/>\n'


def _line(begin: tuple[float, float], end: tuple[float, float], colour: str, style: str = "") -> str:
    ends = f'x1="{begin[0]}" y1="{begin[1]}" x2="{end[0]}" y2="{end[1]}"'
    return f'<line {ends} stroke="{colour}"{style}/>\n'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x}" y="{y}"{style}>{escape(text)}</text>\n'
