"""Measures all servers with all cases, in turns, so that whatever else the machine does hits them alike."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from deploy.local import binaries, progress
from tests.bench import programs, servers
from tests.bench.answers import Meaning, meaning
from tests.bench.cases import NAME, PATH, Case, cases
from tests.bench.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.bench.servers import Server

CONNECTIONS: Final = 8
"""What one API server keeps open to a busy webhook; it may have 25 idle ones (client-go `transport/cache.go`)."""


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        rounds: How often each server's turn comes in each case.
        seconds: How long a turn is.
    """

    rounds: int = 6
    seconds: float = 3.0


@dataclass
class Outcome:
    """What was measured.

    Attributes:
        figures: By case and server.
        resident_mb: Memory of each server, in millions of bytes, after all cases.
    """

    figures: dict[tuple[Case, str], Figures] = field(default_factory=dict)
    resident_mb: dict[str, float] = field(default_factory=dict)


def measure(
    directory: Path,
    root: Path,
    plan: Plan,
    chosen: Iterable[Case] | None = None,
    before: tuple[Path, Path] | None = None,
) -> Outcome:
    """Run all servers and ask them.

    Args:
        directory: For certificates, bodies and logs.
        root: Where the product's image is unpacked.
        plan: How long.
        chosen: Cases; all of them by default.
        before: Another checkout, whose webhook is measured as well, and where its image is unpacked.
    """
    to_ask = list(cases() if chosen is None else chosen)
    serving, asking = processors()
    outcome = Outcome()
    with servers.running(directory, root, serving, before) as running:
        for case in to_ask:
            (directory / f"{case.name}.json").write_bytes(case.body)
            check(case, {server.name: server.ask(case.body) for server in running})
        for case in to_ask:
            progress.step(f"measuring {case.kind}, {len(case.body) / 1000:.1f} kB")
            outcome.figures |= _measure(case, running, directory, plan, asking)
        outcome.resident_mb = {server.name: server.resident_mb for server in running}
    return outcome


def processors() -> tuple[int, int]:
    """Choose a processor for servers and another for the client."""
    serving, asking, *_ = sorted(os.sched_getaffinity(0))
    return serving, asking


def check(case: Case, answers: Mapping[str, bytes]) -> None:
    """Make sure that all answers are the announced one, and mean the same."""
    meanings = {name: meaning(case, answer) for name, answer in answers.items()}
    first: Meaning = meanings[servers.OURS]
    for name, found in meanings.items():
        assert found.verdict == case.announced, f"{name}, {case.name}: {found.verdict}"
        assert found == first, f"{name}, {case.name}: another object comes out"


def _measure(
    case: Case, running: Sequence[Server], directory: Path, plan: Plan, processor: int
) -> dict[tuple[Case, str], Figures]:
    seconds = dict.fromkeys((server.name for server in running), 0.0)
    busy = dict(seconds)
    latencies: dict[str, list[int]] = {server.name: [] for server in running}
    for turn in range(plan.rounds):
        first = turn % len(running)
        for server in (*running[first:], *running[:first]):
            busy[server.name] -= server.processor_seconds
            report = _load(server, case, directory, plan.seconds, processor)
            busy[server.name] += server.processor_seconds
            seconds[server.name] += report["seconds"]
            latencies[server.name] += report["nanoseconds"]
    return {(case, name): Figures.of(seconds[name], latencies[name], busy[name]) for name in seconds}


def _load(server: Server, case: Case, directory: Path, seconds: float, processor: int) -> dict[str, Any]:
    options = {
        "address": f"127.0.0.1:{server.port}",
        "server-name": servers.NAME,
        "authority": server.authority,
        "path": PATH,
        "body": directory / f"{case.name}.json",
        "name": NAME,
        "connections": CONNECTIONS,
        "least-bytes": 100,
        "duration": f"{seconds}s",
    }
    command = [str(binaries.built(programs.CLIENT)), *(f"-{option}={value}" for option, value in options.items())]
    done = subprocess.run(
        ["taskset", "--cpu-list", str(processor), *command],
        env={**os.environ, "GOMAXPROCS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
