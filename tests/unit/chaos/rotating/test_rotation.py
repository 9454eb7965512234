"""How the phase of a rotation is read from its storage's status."""

from __future__ import annotations

from typing import Any

import pytest

from shared.session_storage.status import RotationPhase
from tests.chaos.rotating.rotation import has_reached, phase_at, phase_of, reached_at

FORMER = "5f0c4a8e-100"


def saying(phase: str, revision: str) -> dict[str, Any]:
    return {"status": {"rotation": {"phase": phase, "revision": revision}}}


@pytest.mark.parametrize(
    ("storage", "phase"),
    [
        pytest.param({}, None, id="no status"),
        pytest.param({"status": {}}, None, id="no rotation ever"),
        pytest.param(saying("Discarded", FORMER), None, id="the one before"),
        pytest.param(saying("Added", "5f0c4a8e-200"), RotationPhase.ADDED, id="this one"),
        pytest.param(saying("Discarded", "5f0c4a8e-200"), RotationPhase.DISCARDED, id="over"),
    ],
)
def test_only_the_rotation_that_was_asked_for_counts(storage: dict[str, Any], phase: RotationPhase | None) -> None:
    assert phase_of(storage, FORMER) is phase


HISTORY = [(10.0, RotationPhase.PENDING), (10.2, RotationPhase.PUBLISHED)]


@pytest.mark.parametrize(
    ("at", "phase"),
    [(9.9, None), (10.0, RotationPhase.PENDING), (10.1, RotationPhase.PENDING), (99, RotationPhase.PUBLISHED)],
)
def test_a_phase_lasts_until_the_next_one_is_seen(at: float, phase: RotationPhase | None) -> None:
    assert phase_at(HISTORY, at) is phase


def test_a_later_phase_counts_as_having_reached_the_earlier_ones() -> None:
    assert has_reached(HISTORY, RotationPhase.ADDED)
    assert reached_at(HISTORY, RotationPhase.ADDED) == 10.2
    assert not has_reached(HISTORY, RotationPhase.AWAIT_CONSUMERS)
    assert not has_reached([], RotationPhase.PENDING)
