from __future__ import annotations

import pytest

from reconciler.observe.heartbeat import PERIOD_SECONDS
from tests.bench.watcher import Watched


def test_an_answer_is_late_once_it_is_older_than_a_period() -> None:
    silences = [PERIOD_SECONDS - 0.5, PERIOD_SECONDS + 0.001, PERIOD_SECONDS + 0.25]
    found = Watched.of(20.0, 1.5, silences)
    assert [found.processor, found.p50, found.worst] == pytest.approx([7.5, 1.0, 250.0])


def test_nothing_is_late_within_the_period() -> None:
    assert Watched.of(20.0, 0.0, [0.1, PERIOD_SECONDS]) == Watched(0.0, 0.0, 0.0)
