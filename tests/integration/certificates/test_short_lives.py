"""Certificates that live for seconds: the renewals of years in a minute, with users at work all the time."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.certificates.deeds import is_served
from tests.integration.certificates.stage import Stage, assert_nobody_noticed
from tests.integration.conftest import Process, eventually

if TYPE_CHECKING:
    from cryptography import x509

MOST_KILLS = 30
"""On a busy machine a process may be killed ten times before it comes to rotating; then nothing was tried yet."""
AWAY_SECONDS = 15.0
WHILE_AWAY = {"SERVING_LIFE": "60s", "RENEW_AT": "0.1", "DWELL": "500ms"}
"""Away for a quarter of a leaf's life, from before the leaf is due; a minute is less than a 40000th of a real one's."""
SECONDS_OF_LIFE = {"AUTHORITY_LIFE": "10s", "SERVING_LIFE": "8s", "RENEW_AT": "0.15", "DWELL": "200ms"}
"""Renewed after a second or so, and long before they end: a busy machine is late by a second now and then."""
AMONG_KILLS = {"AUTHORITY_LIFE": "80s", "SERVING_LIFE": "40s", "RENEW_AT": "0.05", "DWELL": "200ms"}
"""Renewed every two seconds, which is what a killed process takes to come back on a busy machine: the rest of the life
is for one that is killed many times before it gets to renewing."""
LONG_SECONDS = 30
"""What only a leaf under `AMONG_KILLS` has left: an authority of `SECONDS_OF_LIFE` ends sooner, and all it signed."""


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
            time.sleep(AWAY_SECONDS)  # the thing measured: an absence
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
                time.sleep(chance.uniform(0.5, 4))  # the fault itself: a kill at a random moment
                process.kill()
                authorities.add(stage.authority())
                if kills >= least and len(authorities) > 1:
                    break
            last = stage.authority()
            eventually(lambda: stage.authority() != last, what="it still rotates")
    figures.append(f"reconciler killed {kills} times at random: {tally}")
    assert len(authorities) > 1, seed
    assert_nobody_noticed(tally)
