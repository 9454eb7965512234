"""However a client's bytes are cut, the server decides the same reviews, and no bytes make it answer a 5xx."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.support.clients import HEAD, Stage, post
from tests.support.hostile import not_http

NAMES = ("1", "2", "3", "4")
places = st.lists(st.integers(0, 2**16), max_size=30)
hostile = st.sampled_from([what for what in not_http() if len(what) < 3_000])
bent = st.tuples(st.sampled_from(NAMES), st.integers(0, 400), st.binary(min_size=1, max_size=3)).map(
    lambda drawn: post(drawn[0])[: drawn[1]] + drawn[2] + post(drawn[0])[drawn[1] :]
)
anything = st.lists(
    st.sampled_from(NAMES).map(post) | hostile | bent | st.binary(max_size=50), min_size=1, max_size=3
).map(b"".join)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in pairwise(edges)]


async def talk(pieces: list[bytes]) -> Stage:
    """Send all pieces, and wait until the server has nothing more to answer."""
    stage = Stage()
    for piece in pieces:
        stage.hear(piece)
        await asyncio.sleep(0)
    # The time at which the server refuses an unfinished request and closes an idle connection.
    for _ in range(60):
        await asyncio.sleep(0)
    stage.pass_time(3600)
    stage.connection.close_if_idle()
    stage.transport.abort()
    await asyncio.sleep(0)
    return stage


def statuses(stage: Stage) -> list[int]:
    return [int(answer.split()[1]) for answer in stage.transport.written]


@given(st.lists(st.sampled_from(NAMES), max_size=5), places)
def test_reviews_come_out_whole_and_in_order(sent: list[str], at: list[int]) -> None:
    stage = asyncio.run(talk(cut(b"".join(map(post, sent)), at)))
    assert stage.asked == sent
    assert statuses(stage) == [200] * len(sent)


@given(anything, places)
def test_the_same_bytes_cut_differently_decide_the_same_reviews(data: bytes, at: list[int]) -> None:
    """A sound review may be lost if a mistake comes in the same piece; no other review is ever decided."""
    longest = asyncio.run(talk([bytes([byte]) for byte in data])).asked
    found = asyncio.run(talk(cut(data, at))).asked
    assert found == longest[: len(found)]


@given(anything, places)
def test_nothing_comes_after_a_refusal_and_none_is_our_fault(data: bytes, at: list[int]) -> None:
    told = statuses(asyncio.run(talk(cut(data, at))))
    assert all(status in {100, 200, 400, 404, 405, 411, 415} for status in told[:-1])
    assert all(100 <= status < 500 for status in told)


def test_a_request_behind_a_refused_one_is_not_read() -> None:
    stage = asyncio.run(talk([HEAD + b"Content-Length: x\r\n\r\n" + post("1"), post("2")]))
    assert statuses(stage) == [400]
    assert stage.asked == []


def test_a_request_behind_one_that_is_refused_by_its_head_is_not_read() -> None:
    """The refused body has arrived here; had it not, nobody could tell where the next request begins."""
    refused = post("1").replace(b"application/json", b"text/plain")
    stage = asyncio.run(talk([refused + post("2")]))
    assert statuses(stage) == [415]
    assert stage.asked == []
