"""The log has one line of JSON for each record."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from shared.process import json_log


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


def test_a_record_is_one_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    json_log.configure("webhook")
    logging.getLogger("a.b").warning("denied", extra={"storage": "team/mine", "count": 3})
    entry = json.loads(capsys.readouterr().err)
    time = entry.pop("time")
    assert time.endswith("+00:00")
    assert entry == {
        "level": "warning",
        "process": "webhook",
        "logger": "a.b",
        "message": "denied",
        "storage": "team/mine",
        "count": 3,
    }


def test_a_traceback_is_in_the_line_of_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    json_log.configure("webhook")
    try:
        int("line\nbreak")
    except ValueError:
        logging.getLogger().exception("failed", extra={"odd": object()})
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["traceback"]


def test_the_level_decides_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    json_log.configure("webhook", "warning")
    logging.getLogger().info("quiet")
    assert capsys.readouterr().err == ""
