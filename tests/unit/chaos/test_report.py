"""The document has every figure of the measurement, and says what failed."""

from __future__ import annotations

import re
from pathlib import Path

from shared.session_storage.sizes import Size
from tests.chaos import archive
from tests.chaos.catalogue import FAULTS
from tests.chaos.figures import SessionUse, Trial
from tests.chaos.floor import Floor
from tests.chaos.peers import BEST, REVISIONS
from tests.chaos.report import Circumstances, Measured, deviating, document, is_met
from tests.chaos.verdicts import Gap, Verdict


def trial(fault: str, gap: float, lost: int = 0) -> Trial:
    verdict = Verdict(1000, (0.0,) * lost, (Gap(0, gap, {}),), {"closed": 1}, "master")
    impatient = Verdict(1100, (), (Gap(0, gap / 2, {}),), {}, "master")
    return Trial(fault, "large", 2.0, verdict, impatient, SessionUse(3, 0, 20, 1, gap + 1), date="2026-11-25")


DOCS = Path(__file__).parents[3] / "docs"
TRIALS = [trial("sigkill", 0.2), trial("sigkill", 0.9), trial("sigkill", 0.25), trial("drain", 0.5, lost=2)]
MADE = {Size.LARGE: [7.0, 8.0, 6.0]}
CIRCUMSTANCES = Circumstances("2026-11-25", {"processors": "2 x Some"}, 42, ["a setting is 1 instead of 2"])
TEXT = document(Measured(TRIALS, MADE, Floor((0.04, 0.05, 0.06), ()), "9.1.2"), CIRCUMSTANCES)


def test_each_fault_that_was_tried_has_a_row_with_its_figures_and_its_target() -> None:
    figures = "0.250 | 0.900 | 0.125 | 0.450 | 6300 | 0 | 0 | 0 of 9 | 3 of 60 | 1.90"
    target = "≤ 0.25 s median, ≤ 1 s worst, 0 lost"
    assert f"| sigkill | large | 2026-11-25 | 3 | {figures} | {target} | yes |\n" in TEXT
    assert "| **no**: median gap, worst gap, writes lost, MCP calls failed |\n" in TEXT


def test_the_document_says_which_settings_of_the_cluster_are_not_the_defaults() -> None:
    assert "instead of the defaults:\n\n- a setting is 1 instead of 2\n" in TEXT
    assert "a cluster with Kubernetes' defaults.\n" in deviating(Circumstances("2026-11-25", {}, 42))


def test_the_document_opens_with_the_picture_and_names_each_other_operator() -> None:
    assert "](resilience.svg)" in TEXT.partition("\n## ")[0]
    assert all(f"| {peer.fault} | {peer.name} {REVISIONS[peer.name]} | {peer.seconds:.2f} |" in TEXT for peer in BEST)


def test_a_fault_that_was_not_tried_has_no_row() -> None:
    assert "| sigstop | large |" not in TEXT


def test_the_document_describes_every_fault() -> None:
    assert all(f"| {fault.name} | {fault.description} |\n" in TEXT for fault in FAULTS)


def test_the_document_has_the_floor_the_times_of_new_storages_and_the_circumstances() -> None:
    assert "| the only EndpointSlice of a Service without a selector | 3 | 50 | 40 | 60 |\n" in TEXT
    assert "| a Service's selector | 0 | - | - | - |\n" in TEXT
    assert "| large | 3 | 7.0 | 8.0 |\n" in TEXT
    assert "was 42." in TEXT
    assert "| processors | 2 x Some |" in TEXT
    assert "2026-11-25" in TEXT
    assert not re.search(r"\{\w*\}", TEXT)


def test_the_document_lists_runs_that_failed_with_their_reason() -> None:
    failed = Trial("partition", "large", problem="large has recovered: not so after 180 s")
    text = document(Measured([failed], MADE, Floor((0.05,), (0.05,)), "9.1.2"), CIRCUMSTANCES)
    assert "- partition (large): large has recovered: not so after 180 s\n" in text
    assert "| partition | large |  | 1 | - | - | - | - | - | - | - | 0 of 0 | 0 of 0 | - |" in text
    assert "No run failed." in TEXT


def test_the_page_is_what_its_figures_and_this_program_make() -> None:
    """The archive lacks the machine and the seed; this test takes them from the page."""
    page = (DOCS / "resilience.md").read_text()
    introduction = page.partition("\n## ")[0]
    (date, *facts) = re.findall(r"^\| ([^|]*) \| ([^|]*) \|$", introduction, re.MULTILINE)
    (seed,) = re.findall(r"newest runs was (\d+)\.", page)
    deviations = re.findall(r"^- (.*)$", introduction, re.MULTILINE)
    circumstances = Circumstances(date[1], dict(facts[1:]), int(seed), deviations)
    assert document(archive.load((DOCS / "resilience.json").read_text()), circumstances) == page


def test_one_missed_target_fails_the_whole_measurement() -> None:
    assert is_met(TRIALS[:3])
    assert not is_met(TRIALS)
