from __future__ import annotations

from typing import NamedTuple

import pytest
from multidict import CIMultiDict

from webhook.http.heads import MAX_BODY_BYTES, expects_to_continue, refusal_of


class Head(NamedTuple):
    version: tuple[int, int]
    headers: CIMultiDict[str]


def head(*, version: tuple[int, int] = (1, 1), **fields: str) -> Head:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return Head(version, CIMultiDict({"Host": "a", **named}))


@pytest.mark.parametrize(
    "sound",
    [
        head(),
        head(version=(1, 0)),
        head(content_length="0"),
        head(content_length=str(MAX_BODY_BYTES)),
        head(expect="100-Continue"),
        head(connection="keep-alive", content_type="application/json"),
    ],
)
def test_heads_that_api_servers_send_are_accepted(sound: Head) -> None:
    assert refusal_of(*sound) is None


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (head(version=(0, 9)), 400),
        (head(version=(1, 2)), 400),
        (head(version=(2, 0)), 400),
        (head(upgrade="websocket"), 400),
        (head(upgrade=""), 400),
        (head(transfer_encoding="chunked"), 411),
        (head(transfer_encoding="identity"), 411),
        (head(content_length=str(MAX_BODY_BYTES + 1)), 413),
        (head(expect="nonsense"), 417),
        (head(expect=""), 417),
    ],
)
def test_a_bad_head_is_refused_with_its_status(refused: Head, status: int) -> None:
    refusal = refusal_of(*refused)
    assert refusal is not None
    assert refusal.status == status


def test_a_head_tells_whether_the_client_expects_100_continue() -> None:
    assert expects_to_continue(head(expect="100-CONTINUE").headers)
    assert not expects_to_continue(head().headers)
