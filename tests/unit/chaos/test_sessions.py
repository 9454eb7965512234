"""Which MCP calls count."""

from __future__ import annotations

from tests.chaos.figures import SessionUse
from tests.chaos.sessions import Call, summed

OPEN = SessionUse(3, 0)
BEFORE, STRUCK, DURING, SLOW = (
    Call(1.0, 0.9, is_good=False),
    Call(1.9, 0.2, is_good=True),
    Call(2.5, 0.1, is_good=False),
    Call(2.6, 3.5, is_good=False),
)


def test_calls_count_from_the_one_that_the_fault_interrupted() -> None:
    assert summed([BEFORE, STRUCK, DURING], 2.0, OPEN) == SessionUse(3, 0, calls=2, failed=1, slowest=0.2)


def test_the_slowest_call_may_be_one_that_failed() -> None:
    assert summed([STRUCK, SLOW], 2.0, OPEN).slowest == 3.5


def test_without_a_call_there_is_no_slowest_one() -> None:
    assert summed([BEFORE], 2.0, OPEN) == OPEN
