"""The picture shows every figure of the archive, and the committed one is up to date."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from xml.parsers import expat

import pytest

from shared.session_storage.sizes import Size
from tests.chaos import archive, picture
from tests.chaos.figures import Trial
from tests.chaos.floor import Floor
from tests.chaos.peers import BEST
from tests.chaos.report import Measured
from tests.chaos.verdicts import Gap, Verdict

DOCS = Path(__file__).parents[3] / "docs"


def trial(fault: str, size: Size, gap: float, impatient: float) -> Trial:
    ours, other = (Verdict(1000, (), (Gap(0, length, {}),), {}, "master") for length in (gap, impatient))
    return Trial(fault, size.value, 2.0, ours, other)


def drawn(*trials: Trial, floor: Floor | None = None) -> str:
    return picture.svg(Measured(trials, {}, floor or Floor((), ()), "9.1.2"))


def texts(svg: str) -> list[str]:
    return re.findall(r">([^<]+)</text>", svg)


def dots(svg: str, colour: str) -> list[float]:
    """Find where the medians of a client are; the first dot is that of the legend."""
    return [float(x) for x in re.findall(rf'<circle cx="([^"]+)" [^>]*fill="{colour}"', svg)][1:]


def test_the_committed_picture_is_what_the_committed_figures_and_this_program_make() -> None:
    measured = archive.load((DOCS / "resilience.json").read_text())
    assert picture.svg(measured) == (DOCS / "resilience.svg").read_text()


def test_each_client_has_its_median_at_its_place_on_the_axis() -> None:
    runs = [trial("sigkill", Size.LARGE, gap, 2 * gap) for gap in (0.1, 0.2, 0.9)]
    svg = drawn(*runs)
    assert dots(svg, picture.GO_REDIS) == [picture.place(0.2)]
    assert dots(svg, picture.IMPATIENT) == [picture.place(0.4)]


def test_a_client_that_did_not_measure_has_no_mark() -> None:
    svg = drawn(Trial("sigkill", Size.LARGE.value, impatient=trial("sigkill", Size.LARGE, 1, 1).impatient))
    assert (dots(svg, picture.GO_REDIS), len(dots(svg, picture.IMPATIENT))) == ([], 1)


def test_the_floor_is_a_line_for_each_way_that_was_measured() -> None:
    def names(floor: Floor) -> list[str]:
        return [text for text in texts(drawn(floor=floor)) if text.startswith("floor")]

    assert len(names(Floor((0.03, 0.04), (0.05,)))) == 2
    assert names(Floor((), (0.05,))) == ["floor: one selector, 50 ms"]


def test_the_best_of_the_others_stands_beside_our_large_storages_alone() -> None:
    ours = [trial(peer.fault, size, 1, 1) for size in (Size.SMALL, Size.LARGE) for peer in BEST]
    told = texts(drawn(*ours))
    assert all(told.count(f"{peer.nickname} {peer.seconds:g}") == 1 for peer in BEST)


@pytest.mark.parametrize("outside", [0.0, 0.001, 1000.0])
def test_what_is_outside_the_axis_is_at_its_end(outside: float) -> None:
    assert picture.place(outside) in {picture.LEFT, picture.RIGHT}


def test_the_axis_is_logarithmic() -> None:
    steps = [after - before for before, after in pairwise(picture.place(10.0**power) for power in (-2, -1, 0, 1))]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)


def test_the_picture_is_well_formed() -> None:
    svg = drawn(trial("sigkill", Size.LARGE, 0.1, 0.2), floor=Floor((0.03,), (0.05,)))
    assert expat.ParserCreate().ParseFile(BytesIO(svg.encode()))


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    content = (DOCS / "resilience.svg").read_text()
    assert not any(word in content for word in ("href", "url(", "<script", "<style", "@import"))
