"""Tells the person at the terminal what happens: one line per step, with the elapsed time."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import StepFailed

HEARTBEAT_SECONDS = 30
# Ten times the slowest build on 2 idle cores (Kubernetes, 5 minutes): busy ones take longer.
COMMAND_DEADLINE_SECONDS = 3600
TAIL_LINES = 20

# Prefix of a command that mounts something, or starts processes that would outlive it: with this prefix,
# its mounts and processes end with it. Needs root.
ENCLOSED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")

_STARTED = time.monotonic()
_PRINTING = threading.Lock()


def step(message: str) -> None:
    """Print one line: what has just been reached."""
    elapsed = time.monotonic() - _STARTED
    with _PRINTING:
        print(f"[{elapsed:6.1f}s] {message}", flush=True)


@contextmanager
def heartbeat(what: str) -> Iterator[None]:
    """Say every 30 s that `what` still goes on, and at the end how long it took if it was long."""
    begun = time.monotonic()
    finished = threading.Event()

    def beat() -> None:
        while not finished.wait(HEARTBEAT_SECONDS):
            step(f"{what}: still going after {time.monotonic() - begun:.0f} s")

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
    finally:
        finished.set()
        beating.join()


def run(
    what: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run one command to its end with heartbeats; its output goes to `log`.

    The command dies with this process, even if that is killed, so that a new start never meets
    an old one at work. `env` replaces the whole environment.

    Raises:
        StepFailed: It failed or outlasted the deadline; the message has the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with heartbeat(what), log.open("wb") as output:
        try:
            subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                timeout=COMMAND_DEADLINE_SECONDS,
                check=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise failure(what, error, log) from error


def failure(what: str, cause: object, log: Path) -> StepFailed:
    """Word a failure: the step, its cause, the last lines of its log and where that is."""
    return StepFailed(f"{what} failed: {cause}\n{tail(log)}\nlog: {log}")


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented; empty if there is none."""
    if not log.exists():
        return ""
    with log.open(errors="replace") as text:
        return "".join(f"    {line}" for line in deque(text, maxlen=lines)).rstrip("\n")
