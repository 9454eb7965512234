"""One run of one fault: it strikes while a writer and sessions are at work, and the run ends after recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos import leaders, sessions
from tests.chaos.faults.fault import Scene, now
from tests.chaos.figures import Trial
from tests.chaos.writing import writing

if TYPE_CHECKING:
    import random

    from shared.session_storage.sizes import Size
    from tests.chaos.faults.fault import Fault
    from tests.chaos.stand import Stand


def run(fault: Fault, stand: Stand, size: Size, chance: random.Random) -> Trial:
    """Try a fault once.

    Raises:
        DemoError: Something did not become as it should be, before or afterwards.
        LocalClusterError: The machine refused something.
    """
    prepare(stand)
    with fault.setting(stand):
        with writing(stand) as writer, sessions.in_use(stand) as opened:
            struck = fault.inflict(Scene(stand, writer, chance))
            stand.await_recovered()
            whole = now() - struck
            writer.await_steady()
            verdict = writer.end(struck)
        use = opened.outcome()
    return Trial(fault.name, size, whole, verdict, use)


def prepare(stand: Stand) -> None:
    """Wait until everything has recovered, and remove the traces of earlier faults."""
    leaders.refresh(stand.kube)
    stand.await_recovered()
    stand.refresh()
