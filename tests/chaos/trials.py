"""Runs one fault once: it strikes while writers and MCP sessions use the storage, and the run ends after recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos import leaders, sessions
from tests.chaos.faults.fault import Scene, now
from tests.chaos.figures import Trial
from tests.chaos.writing import Client, writing

if TYPE_CHECKING:
    import random

    from shared.session_storage.sizes import Size
    from tests.chaos.faults.fault import Fault
    from tests.chaos.stand import Stand


def run(fault: Fault, stand: Stand, size: Size, rng: random.Random) -> Trial:
    """Inflict a fault once.

    Raises:
        DemoError: The stand did not reach the wanted state before or after the fault.
        LocalClusterError: A command on the local cluster failed.
    """
    prepare(stand)
    with fault.setup(stand):
        with writing(stand, *Client) as writers, sessions.in_use(stand) as opened:
            struck = fault.inflict(Scene(stand, writers, rng))
            stand.await_recovered()
            recovered = now() - struck
            writers.await_steady()
            verdicts = writers.end(struck)
        use = opened.outcome(struck)
    return Trial(fault.name, size, recovered, verdicts[Client.GO_REDIS], verdicts[Client.IMPATIENT], use)


def prepare(stand: Stand) -> None:
    """Wait until everything has recovered, and remove the traces of earlier faults."""
    leaders.replace_restarted(stand.kube)
    stand.await_recovered()
    stand.replace_restarted()
