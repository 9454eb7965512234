"""Draws series over time as SVG: lines, stacked areas, and bars of states."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tests.pictures.units import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.prometheus_server import Window

COLORS: Final = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#e02f44", "#b877d9", "#37872d", "#fade2a", "#8ab8ff")
LEFT, RIGHT, TOP, BOTTOM = 62, 8, 8, 20
"""Room around a drawing, in pixels, for the axes' labels."""
NAMES: Final = 0.3
"""Share of the width that the names of states take."""
OFF: Final = "#3a3f46"
LINES: Final = 4
"""Lines across a graph, each with its value."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values over time.

    Attributes:
        name: What the legend calls it.
        values: By Unix time.
        is_limit: Whether it is drawn as a dashed line.
    """

    name: str
    values: Mapping[float, float]
    is_limit: bool = False

    @property
    def last(self) -> float:
        """The latest value; NaN if there is none."""
        return self.values[max(self.values)] if self.values else math.nan


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across a graph."""

    at: float
    color: str


@dataclass(frozen=True, slots=True)
class Area:
    """The rectangle of a drawing, and what it stands for.

    Attributes:
        window: The times from left to right.
        width: In pixels, with room for labels.
        height: In pixels, with room for labels.
        top: The value at the upper end; the lower one is 0.
        left: Room for names on the left, in pixels.
    """

    window: Window
    width: int
    height: int
    top: float = 1.0
    left: float = LEFT

    def x(self, at: float) -> float:
        """Find a time's place."""
        share = (at - self.window.start) / (self.window.end - self.window.start)
        return self.left + share * (self.width - self.left - RIGHT)

    def y(self, value: float) -> float:
        """Find a value's place."""
        return self.height - BOTTOM - value / self.top * (self.height - TOP - BOTTOM)


def graph(
    series: Sequence[Series], area: Area, unit: str, marks: Sequence[Mark] = (), *, is_stacked: bool = False
) -> str:
    """Draw lines, or areas on top of each other."""
    drawn = list(_stacked(series)) if is_stacked else [(each, each.values) for each in series]
    values = [value for _, heights in drawn for value in heights.values() if math.isfinite(value)]
    area = replace(area, top=_round_up(max(values, default=1.0)))
    parts = [*_axes(area, unit), *(_mark(area, mark) for mark in marks)]
    for number, (each, heights) in enumerate(drawn):
        color = COLORS[number % len(COLORS)]
        for run in _runs(heights, area.window.step):
            line = " ".join(f"{area.x(at):.1f},{area.y(max(value, 0)):.1f}" for at, value in run)
            if is_stacked and not each.is_limit:
                foot = f"{area.x(run[-1][0]):.1f},{area.y(0):.1f} {area.x(run[0][0]):.1f},{area.y(0):.1f}"
                parts.append(f'<polygon points="{line} {foot}" fill="{color}" fill-opacity="0.15"/>')
            dash = ' stroke-dasharray="6 5"' if each.is_limit else ""
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"{dash}/>')
    return _svg(area, parts)


def states(series: Sequence[Series], area: Area, color: str) -> str:
    """Draw a bar for each series, in the given colour while its value is not 0."""
    area = replace(area, left=area.width * NAMES)
    high = (area.height - TOP - BOTTOM) / max(len(series), 1)
    parts = list(_times(area))
    for number, each in enumerate(series):
        y = TOP + number * high
        parts.append(f'<text x="2" y="{y + high / 2 + 4:.1f}">{html.escape(each.name)}</text>')
        for at, value in each.values.items():
            begin, end = area.x(at - area.window.step / 2), area.x(at + area.window.step / 2)
            place = f'x="{begin:.1f}" y="{y + 2:.1f}" width="{end - begin + 0.5:.1f}" height="{max(high - 4, 2):.1f}"'
            parts.append(f'<rect {place} fill="{color if value else OFF}"/>')
    return _svg(area, parts)


def _stacked(series: Sequence[Series]) -> Iterator[tuple[Series, dict[float, float]]]:
    below: dict[float, float] = {}
    for each in series:
        if each.is_limit:
            yield each, dict(each.values)
            continue
        for at, value in each.values.items():
            below[at] = below.get(at, 0.0) + (0.0 if math.isnan(value) else value)
        yield each, {at: below[at] for at in each.values}


def _runs(values: Mapping[float, float], step: float) -> Iterator[list[tuple[float, float]]]:
    """Part values where one is missing or no number: a line has a gap there."""
    run: list[tuple[float, float]] = []
    for at, value in sorted(values.items()):
        if math.isfinite(value) and (not run or at - run[-1][0] <= step * 1.5):
            run.append((at, value))
            continue
        if run:
            yield run
        run = [(at, value)] if math.isfinite(value) else []
    if run:
        yield run


def _axes(area: Area, unit: str) -> Iterator[str]:
    for number in range(LINES + 1):
        value = area.top * number / LINES
        y = area.y(value)
        yield f'<line x1="{LEFT}" x2="{area.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#2c3036"/>'
        yield f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{html.escape(shown(value, unit))}</text>'
    yield from _times(area)


def _times(area: Area) -> Iterator[str]:
    minutes = (area.window.end - area.window.start) / 60
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = area.left + share * (area.width - area.left - RIGHT)
        text = f"-{minutes * (1 - share):.3g} min" if share < 1 else "now"
        anchor = "end" if share == 1 else "middle"
        yield f'<text x="{x:.1f}" y="{area.height - 4}" text-anchor="{anchor}">{text}</text>'


def _mark(area: Area, mark: Mark) -> str:
    x = area.x(mark.at)
    ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{area.height - BOTTOM}"'
    return f'<line {ends} stroke="{mark.color}" stroke-dasharray="3 2"/>'


def _round_up(value: float) -> float:
    """Find the next value above that has one figure, or one and a half."""
    if value <= 0:
        return 1.0
    size = 10 ** math.floor(math.log10(value))
    return float(next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= value))


def _svg(area: Area, parts: Sequence[str]) -> str:
    size = f'width="{area.width}" height="{area.height}"'
    return f'<svg {size} viewBox="0 0 {area.width} {area.height}">{"".join(parts)}</svg>'
