"""One run of one fault in the middle of a rotation: it strikes in a phase, and the rotation ends all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.session_storage.status import RotationPhase
from tests.chaos.faults.fault import Scene, now
from tests.chaos.report import NONE
from tests.chaos.rotating.figures import Seen, Trial
from tests.chaos.rotating.probing import probing
from tests.chaos.rotating.rotation import Rotation, phase_at, reached_at
from tests.chaos.trials import prepare
from tests.chaos.writing import writing

if TYPE_CHECKING:
    import random

    from tests.chaos.faults.fault import Fault
    from tests.chaos.stand import Stand


def run(fault: Fault, stand: Stand, wanted: RotationPhase, chance: random.Random) -> Trial:
    """Try a fault in a phase once.

    Raises:
        DemoError: Something did not become as it should be, before or afterwards.
        LocalClusterError: The machine refused something.
    """
    prepare(stand)
    with fault.setting(stand), writing(stand) as writer, probing(stand) as prober:
        asked = now()
        rotation = Rotation.ask(stand)
        rotation.await_phase(wanted)
        struck = fault.inflict(Scene(stand, writer, chance))
        stand.await_recovered()
        recovered = now() - struck
        rotation.await_over()
        took = now() - asked
        stand.await_recovered()
        writer.await_steady()
        logins = prober.end(struck)
        ended = reached_at(rotation.course, RotationPhase.DISCARDING) - struck
        seen = Seen(recovered, ended, took, writer.end(struck), logins, len(stand.pods()))
    return Trial(fault.name, wanted, phase_at(rotation.course, struck) or NONE, seen)
