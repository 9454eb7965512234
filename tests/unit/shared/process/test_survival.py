"""A part that an unforeseen error ends begins again, with growing pauses, and nobody can overlook it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from prometheus_client import REGISTRY

from shared.process.log_scope import logged_with
from shared.process.survival import MAX_PAUSE_SECONDS, keep_running
from tests.support.logged import logged
from tests.support.virtual_time import in_virtual_time


def failures(part: str) -> float:
    return REGISTRY.get_sample_value("session_storage_unforeseen_errors_total", {"part": part}) or 0


@in_virtual_time
async def test_a_part_that_fails_begins_again_after_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    began: list[float] = []

    async def work() -> None:
        began.append(asyncio.get_running_loop().time())
        raise KeyError("metadata")

    task = asyncio.ensure_future(keep_running("a part", work))
    await asyncio.sleep(600)
    assert not task.done()
    pauses = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert pauses[0] < 1
    assert max(pauses) <= MAX_PAUSE_SECONDS * 1.2
    assert 20 < len(began) < 40
    assert failures("a part") == len(began)
    assert all(record.exc_info for record in caplog.records)
    task.cancel()
    await asyncio.wait({task})


@in_virtual_time
async def test_after_a_while_without_errors_the_pause_is_short_again() -> None:
    ends: list[float] = []

    async def work() -> None:
        await asyncio.sleep(100)
        ends.append(asyncio.get_running_loop().time())
        raise ValueError

    task = asyncio.ensure_future(keep_running("another part", work))
    await asyncio.sleep(1000)
    assert all(later - earlier < 101 for earlier, later in itertools.pairwise(ends))
    assert len(ends) >= 9
    task.cancel()
    await asyncio.wait({task})


@in_virtual_time
async def test_a_part_that_a_reconcile_starts_is_no_part_of_that_reconcile() -> None:
    async def work() -> None:
        raise KeyError("metadata")

    with logged() as log:
        with logged_with({"reconcile_id": "1"}):
            task = asyncio.ensure_future(keep_running("heartbeats", work))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait({task})
    (line,) = log.lines
    assert line["part"] == "heartbeats"
    assert "reconcile_id" not in line


@in_virtual_time
async def test_a_part_that_ends_by_itself_is_over() -> None:
    async def work() -> None:
        await asyncio.sleep(1)

    await keep_running("a third part", work)
    assert failures("a third part") == 0
