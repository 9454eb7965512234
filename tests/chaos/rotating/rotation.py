"""One rotation of a stand's storage, asked for by annotation and followed by its status."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from deploy.demo.errors import CommandFailed, NotInTime
from deploy.demo.kube import until
from deploy.local import progress
from shared import names
from shared.session_storage.status import RotationPhase
from tests.chaos.api import STORAGES
from tests.chaos.faults.fault import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.demo.kube import Object
    from tests.chaos.stand import Stand

PHASES: Final = tuple(phase for phase in RotationPhase if phase is not RotationPhase.DISCARDED)
"""In which a fault may strike, in their order."""
PHASE_SECONDS: Final = 300
OVER_SECONDS: Final = 600
"""Mounted files are given 100 s, and a consumer that restarts while instances are away takes its time."""


@dataclass(frozen=True)
class Rotation:
    """A rotation that was asked for.

    Attributes:
        stand: Of whose storage.
        former: Revision of the credential before it; empty if there never was a rotation.
        course: Since when it was seen in which phase, by the monotonic clock.
    """

    stand: Stand
    former: str
    course: list[tuple[float, RotationPhase]] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    def ask(cls, stand: Stand) -> Self:
        """Ask for one, as an administrator does, and follow it."""
        asked = cls(stand, _told(stand.storage()).get("revision", ""))
        # Of no account to anybody once the run is over, however that comes.
        threading.Thread(target=asked._follow, daemon=True).start()
        stand.change({"metadata": {"annotations": {names.ANNOTATION_ROTATE: datetime.now(UTC).isoformat()}}})
        return asked

    def await_phase(self, wanted: RotationPhase) -> None:
        """Wait for a phase; or a later one, if it was too short to be met.

        Raises:
            NotInTime: It does not get there.
        """
        with self._news:
            if not self._news.wait_for(lambda: has_reached(self.course, wanted), PHASE_SECONDS):
                raise NotInTime(f"{self.stand.name} is not {wanted} after {PHASE_SECONDS} s")

    def await_over(self) -> None:
        """Wait until the former password is gone."""

        def is_over() -> bool:
            return phase_of(self.stand.storage(), self.former) is RotationPhase.DISCARDED

        until("the rotation is over", is_over, OVER_SECONDS)

    def _follow(self) -> None:
        deadline = now() + PHASE_SECONDS + OVER_SECONDS
        while not has_reached(self.course, RotationPhase.DISCARDED) and now() < deadline:
            try:
                self._follow_once()
            except CommandFailed as error:
                progress.step(f"following anew, because {error}")

    def _follow_once(self) -> None:
        for storage in self.stand.api.versions(STORAGES, self.stand.name, PHASE_SECONDS):
            phase = phase_of(storage, self.former)
            if phase is None or phase_at(self.course, now()) is phase:
                continue
            with self._news:
                self.course.append((now(), phase))
                self._news.notify_all()
            if phase is RotationPhase.DISCARDED:
                return


def has_reached(course: Sequence[tuple[float, RotationPhase]], wanted: RotationPhase) -> bool:
    """Tell whether a rotation was seen in a phase or a later one. Pure."""
    return reached_at(course, wanted) < math.inf


def reached_at(course: Sequence[tuple[float, RotationPhase]], wanted: RotationPhase) -> float:
    """Tell when a rotation was first seen in a phase or a later one; never, for now: infinity. Pure."""
    order = tuple(RotationPhase)
    return next((at for at, phase in course if order.index(phase) >= order.index(wanted)), math.inf)


def phase_at(course: Sequence[tuple[float, RotationPhase]], at: float) -> RotationPhase | None:
    """Tell in which phase a rotation was at a moment; None if it was in none yet. Pure."""
    return next((phase for since, phase in reversed(course) if since <= at), None)


def phase_of(storage: Object, former: str) -> RotationPhase | None:
    """Tell how far the rotation after a revision is; None if it has not begun. Pure."""
    told = _told(storage)
    return RotationPhase(told["phase"]) if told and told["revision"] != former else None


def _told(storage: Object) -> dict[str, str]:
    found: dict[str, str] = storage.get("status", {}).get("rotation") or {}
    return found
