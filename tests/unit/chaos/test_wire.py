"""How the client encodes commands, and how it names errors."""

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
def test_an_error_is_named_by_its_code_or_by_what_happened_to_the_connection(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_commands_are_arrays_of_bulk_strings() -> None:
    assert encoded(("SET", "w:1", "ü")) == b"*3\r\n$3\r\nSET\r\n$3\r\nw:1\r\n$2\r\n\xc3\xbc\r\n"
