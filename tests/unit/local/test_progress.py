import os
import time
from pathlib import Path

import pytest

from deploy.local import progress
from deploy.local.errors import StepFailed


def test_a_step_is_one_line_with_the_elapsed_time(capsys: pytest.CaptureFixture[str]) -> None:
    progress.step("node1: kubelet Ready")
    printed = capsys.readouterr().out
    assert printed.endswith("s] node1: kubelet Ready\n")
    assert printed.startswith("[")


def test_long_work_shows_that_it_goes_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.01)
    printed = ""
    with progress.heartbeat("building"):
        deadline = time.monotonic() + 10
        while "building: still going" not in printed and time.monotonic() < deadline:
            printed += capsys.readouterr().out
    assert "building: still going" in printed


def test_output_goes_to_the_log_and_input_is_closed(tmp_path: Path) -> None:
    progress.run("reading", ["sh", "-c", "cat; echo done; pwd"], log=tmp_path / "logs" / "log", cwd=tmp_path)
    assert (tmp_path / "logs" / "log").read_text() == f"done\n{tmp_path}\n"


def test_a_failure_names_the_step_its_last_lines_and_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(StepFailed) as failed:
        progress.run("counting", ["sh", "-c", "seq 100; exit 3"], log=log, env=dict(os.environ))
    message = str(failed.value)
    assert message.startswith("counting failed: ")
    assert "exit status 3" in message
    assert str(log) in message
    assert "    100\n" in message
    assert "    80\n" not in message


def test_a_program_that_is_not_there_fails_the_step(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="no-such-program"):
        progress.run("starting", ["no-such-program"], log=tmp_path / "log")


def test_a_log_that_was_never_written_has_no_last_lines(tmp_path: Path) -> None:
    assert progress.tail(tmp_path / "absent") == ""
