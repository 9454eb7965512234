"""The document about rotations has what clients saw, and says which runs broke the invariant."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from shared.session_storage.status import RotationPhase
from tests.chaos.catalogue import BY_NAME
from tests.chaos.report import Circumstances, deviating
from tests.chaos.rotating.figures import Seen, Trial
from tests.chaos.rotating.logins import Failure, Logins
from tests.chaos.rotating.report import document, is_met
from tests.chaos.rotating.rotation import PHASES
from tests.chaos.rotating.suite import DEFAULTS, Plan
from tests.chaos.verdicts import Verdict

PAGE = (Path(__file__).parents[4] / "docs" / "resilience-rotation.md").read_text()
PLACES = ("service", "instance-0", "instance-1", "instance-2")
LOGINS = Logins(
    5000,
    (Failure("instance-0", "refused", (0.1, 0.4, 1.2)),),
    2,
    dict.fromkeys(PLACES, "accepted"),
    dict.fromkeys(PLACES, ("WRONGPASS",)),
)
WRITES = Verdict(1000, (), (), {"closed": 2, "refused": 3}, "master")
SEEN = Seen(2.0, 130.1, 131.4, WRITES, LOGINS, 3)
KEPT = Trial("sigkill", "Added", "AwaitConsumers", SEEN)
FAILED = Trial("drain", "Added", problem="large has recovered: not so after 180 s")
CIRCUMSTANCES = Circumstances("2026-11-25", {"processors": "2 x Some"}, 42)


def with_writes(fault: str, writes: Verdict) -> Trial:
    return Trial(fault, "Added", "Added", replace(SEEN, writes=writes))


def test_each_run_has_a_row() -> None:
    text = document([KEPT], CIRCUMSTANCES)
    assert "| sigkill | Added | AwaitConsumers | 5000 | 0 | 3 | 1000 | 5 | 0 | 2.0 | 131 | yes |\n" in text
    assert f"| sigkill | {BY_NAME['sigkill'].description} |\n" in text
    assert "No run failed." in text
    assert "was 42." in text
    assert "| processors | 2 x Some |" in text
    assert not re.search(r"\{\w*\}", text)


def test_the_page_has_the_words_of_this_program() -> None:
    """Only the page has the figures, so this test compares no table, no seed and no setting of the cluster."""
    paragraphs = document([KEPT], CIRCUMSTANCES).strip().split("\n\n")
    prose = [text.strip() for text in paragraphs if not text.strip().startswith("|") and "was 42." not in text]
    prose.remove(deviating(CIRCUMSTANCES).strip())
    assert len(prose) > 5
    assert [text for text in prose if text not in PAGE] == []


def test_the_document_lists_a_run_that_failed_with_its_reason() -> None:
    text = document([FAILED], CIRCUMSTANCES)
    assert "| drain | Added | - | - | - | - | - | - | - | - | - | **no**: not finished |\n" in text
    assert "- drain: large has recovered: not so after 180 s\n" in text


@pytest.mark.parametrize(
    ("trial", "misses"),
    [
        pytest.param(KEPT, [], id="kept"),
        pytest.param(FAILED, ["not finished"], id="not finished"),
        pytest.param(with_writes("sigkill", replace(WRITES, lost=(0.1,))), ["writes lost"], id="lost"),
        pytest.param(
            with_writes("partition", replace(WRITES, lost=(0.1,))), [], id="lost within the fence of a partition"
        ),
        pytest.param(
            with_writes("partition", replace(WRITES, lost=(4.1,))), ["writes lost"], id="lost after the fence"
        ),
        pytest.param(
            with_writes("drain", replace(WRITES, errors={"NOAUTH": 1})),
            ["commands refused"],
            id="a command without login",
        ),
        pytest.param(
            Trial("drain", "Added", "Added", replace(SEEN, logins=replace(LOGINS, passwords=1))),
            ["the password has not changed"],
            id="nothing was rotated",
        ),
    ],
)
def test_a_run_lists_how_it_broke_the_invariant(trial: Trial, misses: list[str]) -> None:
    assert trial.misses == misses
    assert is_met([KEPT, trial]) == (not misses)


def test_a_run_is_told_in_one_line() -> None:
    assert str(KEPT) == (
        "sigkill from Added on, in AwaitConsumers; 0 of 5003 logins refused; 3 refused at instance-0 (0.1 to 1.2 s);"
        " 5 commands failed, lost 0 of 1000; recovered after 2.0 s, Discarded after 131 s; kept"
    )
    assert str(FAILED) == "drain from Added on, in -; large has recovered: not so after 180 s"


def test_the_seed_chooses_phases_unless_one_is_named() -> None:
    def phases(seed: int, named: RotationPhase | None = None) -> list[RotationPhase]:
        return [phase for _, phase, _ in Plan([BY_NAME[name] for name in DEFAULTS], named, 3, seed).steps()]

    assert phases(7) == phases(7) != phases(8)
    assert set(phases(7)) <= set(PHASES)
    assert set(phases(7, RotationPhase.ADDED)) == {RotationPhase.ADDED}
