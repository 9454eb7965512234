"""Runs one fault in the middle of one rotation: the fault strikes in a phase, and the rotation must still end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.session_storage.status import RotationPhase
from tests.chaos.faults.fault import Scene, now
from tests.chaos.report import NONE
from tests.chaos.rotating.figures import Seen, Trial
from tests.chaos.rotating.probing import probing
from tests.chaos.rotating.rotation import Rotation, phase_at, reached_at
from tests.chaos.trials import prepare
from tests.chaos.writing import Client, writing

if TYPE_CHECKING:
    import random

    from tests.chaos.faults.fault import Fault
    from tests.chaos.stand import Stand


def run(fault: Fault, stand: Stand, wanted: RotationPhase, rng: random.Random) -> Trial:
    """Inflict a fault once, as soon as the rotation reaches a phase.

    Raises:
        DemoError: The stand did not reach the wanted state before or after the fault.
        LocalClusterError: A command on the local cluster failed.
    """
    prepare(stand)
    # The other client reads its password once, as a proxy does, and a rotation does not restart its pod.
    clients = (Client.IMPATIENT,)
    with fault.setup(stand), writing(stand, *clients) as writers, probing(stand) as prober:
        asked = now()
        rotation = Rotation.ask(stand)
        rotation.await_phase(wanted)
        struck = fault.inflict(Scene(stand, writers, rng))
        stand.await_recovered()
        recovered = now() - struck
        rotation.await_over()
        took = now() - asked
        stand.await_recovered()
        writers.await_steady()
        logins = prober.end(struck)
        ended = reached_at(rotation.history, RotationPhase.DISCARDING) - struck
        seen = Seen(recovered, ended, took, writers.end(struck)[Client.IMPATIENT], logins, len(stand.pods()))
    return Trial(fault.name, wanted, phase_at(rotation.history, struck) or NONE, seen)
