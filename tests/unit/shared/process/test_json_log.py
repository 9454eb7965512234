"""The log has one line of JSON for each record."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from shared import errors
from shared.process.log_scope import logged_with
from tests.support.logged import logged

PASSWORD = "h7Qw" * 8
SESSION = "3f0c9a52-6a0e-4a43-9d5e-0b6c2d1e7f88"


def test_a_record_is_one_line_with_its_fields() -> None:
    with logged(process="webhook") as log:
        logging.getLogger("a.b").warning("denied", extra={"storage": "team/mine", "count": 3})
    (entry,) = log.lines
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "warning",
        "process": "webhook",
        "logger": "a.b",
        "message": "denied",
        "storage": "team/mine",
        "count": 3,
    }


def test_a_traceback_is_in_the_line_of_its_record() -> None:
    with logged() as log:
        try:
            int("line\nbreak")
        except ValueError:
            logging.getLogger().exception("failed", extra={"odd": object()})
    (line,) = log.lines
    assert "ValueError: invalid literal" in line["traceback"]
    assert 'int("line\\nbreak")' in line["traceback"]


def test_the_level_decides_what_is_said() -> None:
    with logged("warning") as log:
        logging.getLogger().info("quiet")
        logging.getLogger("reconciler.a").info("quiet")
        logging.getLogger("reconciler.a").warning("loud")
    assert [line["message"] for line in log.lines] == ["loud"]


async def test_all_lines_of_one_piece_of_work_have_its_fields_and_no_others_have_them() -> None:
    async def work(name: str) -> None:
        with logged_with({"reconcile_id": name}):
            await asyncio.sleep(0)
            with logged_with({"storage": f"team/{name}"}):
                logging.getLogger("reconciler.inner").info("within")
            logging.getLogger("reconciler.outer").info("around")

    with logged() as log:
        await asyncio.gather(work("a"), work("b"))
        logging.getLogger("reconciler").info("after")
    for name in ("a", "b"):
        assert [line.get("storage") for line in log.lines if line.get("reconcile_id") == name] == [f"team/{name}", None]
    assert "reconcile_id" not in log.with_message("after")[0]


def test_more_is_logged_of_what_somebody_asks_for_and_of_nothing_else() -> None:
    logger = logging.getLogger("reconciler.a")
    with logged("INFO") as log:
        logger.debug("before")
        with logged_with({}, "DEBUG"):
            logger.debug("asked for")
            with logged_with({}, "WARNING"):
                logger.debug("also inside")
        logger.debug("after")
    assert [line["message"] for line in log.lines] == ["asked for", "also inside"]


def test_nobody_can_have_less_logged_than_the_process_logs() -> None:
    with logged("INFO") as log, logged_with({}, "CRITICAL"):
        logging.getLogger("reconciler.a").info("still here")
    assert [line["message"] for line in log.lines] == ["still here"]


def test_what_libraries_say_below_info_is_never_logged() -> None:
    """They write down what they send and receive: a Secret, for instance."""
    with logged("DEBUG") as log, logged_with({}, "DEBUG"):
        logging.getLogger("kubernetes.client.rest").debug("response body: a Secret")
        logging.getLogger("certs.apply").debug("ours")
    assert [line["message"] for line in log.lines] == ["ours"]


@pytest.mark.parametrize("secret", [PASSWORD, SESSION, f"thv:proxy:session:{{team:s}}:{SESSION}"])
def test_no_secret_is_in_a_traceback_nor_in_a_librarys_words(secret: str) -> None:
    with logged() as log:
        error = ExceptionGroup("both", [ValueError(f"cannot read {secret!r}"), OSError(5, secret)])
        error.__cause__ = KeyError(secret)
        logging.getLogger("reconciler").error("a bug", exc_info=error)
        logging.getLogger("asyncio").error("exception=ValueError('%s')", secret)
    assert secret not in log.text
    assert SESSION not in log.text
    told = log.with_message("a bug")[0]["traceback"]
    assert [name for name in ("KeyError", "ExceptionGroup", "ValueError", "OSError") if name not in told] == []


@dataclass(frozen=True)
class Credential:
    user: str
    password: str = field(repr=False)


def test_what_does_not_show_its_secrets_does_not_show_them_in_the_log() -> None:
    with logged() as log:
        logging.getLogger("reconciler").info("dialled", extra={"login": Credential("default", PASSWORD)})
    assert "default" in log.lines[0]["login"]
    assert PASSWORD not in log.text


@pytest.mark.parametrize("odd", ["half a character: \udcff", 2**70, {("a", "b"): 1}], ids=["text", "number", "mapping"])
def test_a_line_that_json_cannot_hold_is_written_all_the_same(odd: object) -> None:
    """`logging` would write down what it got, with all that nobody has hidden yet."""
    with logged() as log:
        logging.getLogger("asyncio").warning("exception=ValueError('%s')", PASSWORD, extra={"odd": odd})
    (line,) = log.lines
    assert "ValueError" in line["message"]
    assert line["odd"].isascii()
    assert PASSWORD not in log.text


def test_an_error_of_ours_is_told_as_it_is() -> None:
    with logged() as log:
        error = errors.Conflict("409 Conflict: the-operation-cannot-be-fulfilled")
        logging.getLogger("reconciler").error("a bug", exc_info=error)
    assert "Conflict: 409 Conflict: the-operation-cannot-be-fulfilled" in log.lines[0]["traceback"]


def test_errors_that_led_to_each_other_in_a_ring_are_told() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    with logged() as log:
        logging.getLogger("reconciler").error("a bug", exc_info=one)
    assert "ValueError: other" in log.lines[0]["traceback"]
