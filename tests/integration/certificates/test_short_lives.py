"""Certificates that live for seconds: years of renewals in a minute, with users at work all the time."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.certificates.deeds import is_served
from tests.integration.certificates.stage import Stage, assert_nobody_noticed
from tests.integration.processes import Process, eventually

if TYPE_CHECKING:
    from cryptography import x509

MOST_KILLS = 30
"""On a busy machine a process may be killed ten times before it rotates; the test kills on until it has rotated."""
AWAY_SECONDS = 15.0
WHILE_AWAY = {"SERVING_LIFE": "60s", "RENEW_AT": "0.1", "DWELL": "500ms"}
"""The API server is away for a quarter of a leaf's life, from before the leaf is due; a minute of life is less
than a 40000th of a real leaf's."""
SECONDS_OF_LIFE = {"AUTHORITY_LIFE": "10s", "SERVING_LIFE": "8s", "RENEW_AT": "0.15", "DWELL": "200ms"}
"""It renews after a second or so, long before certificates end: a busy machine is at times a second late."""
AMONG_KILLS = {"AUTHORITY_LIFE": "80s", "SERVING_LIFE": "40s", "RENEW_AT": "0.05", "DWELL": "200ms"}
"""The reconciler renews every two seconds, in which a killed process comes back on a busy machine. The rest of
the life is for a process that is killed many times before it renews."""
LONG_SECONDS = 30
"""Seconds that only a leaf under `AMONG_KILLS` has left: an authority of `SECONDS_OF_LIFE` ends sooner."""


def issued(stage: Stage, process: Process, kind: str) -> int:
    return int(stage.count(process, f'session_storage_certificates_issued_total{{kind="{kind}"}}'))


def await_leaf(stage: Stage, process: Process) -> None:
    """Wait until the reconciler has made a leaf by its own settings, and every replica serves it."""
    eventually(lambda: issued(stage, process, "serving") > 0, what="a leaf")
    eventually(lambda: is_served(stage, stage.leaf()), what="the leaf is served")


def is_long(leaf: x509.Certificate) -> bool:
    return leaf.not_valid_after_utc.timestamp() > time.time() + LONG_SECONDS


def serves_another(stage: Stage, before: x509.Certificate) -> bool:
    leaf = stage.leaf()
    return leaf != before and is_served(stage, leaf)


def test_the_api_server_is_away_when_a_renewal_is_due(stage: Stage, replicas: None) -> None:
    """Away from our processes alone: users who cannot reach it have no admissions that could fail."""
    (api_server,) = stage.network.backends
    with stage.supervised(stage.process("reconciler", "reconciler-0", **WHILE_AWAY)) as process:
        stage.ask_for_rotation("to a shorter life")
        await_leaf(stage, process)
        before = stage.leaf()
        with stage.users_at_work("API server away across a renewal") as tally:
            stage.network.backends = ()
            stage.backstage.call(stage.network.sever)
            time.sleep(AWAY_SECONDS)  # the fault under test: an absence
            assert stage.leaf() == before
            stage.network.backends = (api_server,)
            eventually(lambda: serves_another(stage, before), seconds=60, what="a new leaf is served")
    assert_nobody_noticed(tally)


@pytest.mark.parametrize("times", [6, pytest.param(50, marks=pytest.mark.drill)])
def test_leaves_and_authorities_are_renewed_many_times_in_a_row(
    stage: Stage, replicas: None, times: int, figures: list[str]
) -> None:
    with stage.supervised(stage.process("reconciler", "reconciler-0", **SECONDS_OF_LIFE)) as process:
        stage.ask_for_rotation("to lives of seconds")
        await_leaf(stage, process)
        with stage.users_at_work(f"{times} leaves, {times} authorities") as tally:
            eventually(lambda: issued(stage, process, "authority") > times, seconds=150, what="that many authorities")
            assert issued(stage, process, "serving") > times
    figures.append(f"{times} leaves and {times} authorities in a row: {tally}")
    assert_nobody_noticed(tally)


@pytest.mark.parametrize("least", [3, pytest.param(10, marks=pytest.mark.drill)])
def test_the_reconciler_is_killed_at_random_moments(
    stage: Stage, replicas: None, least: int, figures: list[str]
) -> None:
    seed = time.time_ns()
    chance = random.Random(seed)
    authorities = set()
    with stage.supervised(stage.process("reconciler", "reconciler-0", **AMONG_KILLS)) as process:
        stage.ask_for_rotation("to lives that outlast kills")
        await_leaf(stage, process)
        eventually(lambda: is_long(stage.leaf()) and is_served(stage, stage.leaf()), what="a long leaf is served")
        with stage.users_at_work(f"reconciler killed {least} times or more, seed {seed}") as tally:
            for kills in range(1, MOST_KILLS + 1):
                time.sleep(chance.uniform(0.5, 4))  # the fault under test: a kill at a random moment
                process.kill()
                authorities.add(stage.authority())
                if kills >= least and len(authorities) > 1:
                    break
            last = stage.authority()
            eventually(lambda: stage.authority() != last, what="it still rotates")
    figures.append(f"reconciler killed {kills} times at random: {tally}")
    assert len(authorities) > 1, seed
    assert_nobody_noticed(tally)
