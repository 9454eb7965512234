"""What a client says to a server, and what it makes of errors."""

from __future__ import annotations

import pytest

from tests.chaos.wire import Refused, encoded, kind_of


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refused("NOREPLICAS"), "NOREPLICAS"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "closed"),
        (BrokenPipeError(), "closed"),
        (OSError(113, "No route to host"), "unreachable"),
    ],
)
def test_errors_have_the_names_that_a_client_would_give_them(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_commands_are_arrays_of_bulk_strings() -> None:
    assert encoded(("SET", "w:1", "ü")) == b"*3\r\n$3\r\nSET\r\n$3\r\nw:1\r\n$2\r\n\xc3\xbc\r\n"
