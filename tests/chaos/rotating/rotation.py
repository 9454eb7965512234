"""Asks a stand's storage for a password rotation by annotation, and follows it in the storage's status."""

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
"""The phases in which a fault may begin, in their order."""
PHASE_SECONDS: Final = 300
OVER_SECONDS: Final = 600
"""A rotation waits 100 s for mounted files, and longer for a consumer that restarts while instances are away."""


@dataclass(frozen=True)
class Rotation:
    """A rotation that was asked for.

    Attributes:
        stand: The stand whose storage rotates its passwords.
        former: Revision of the former credential; empty if there never was a rotation.
        history: Each phase that the status has shown, with the time of the monotonic clock since when.
    """

    stand: Stand
    former: str
    history: list[tuple[float, RotationPhase]] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    def ask(cls, stand: Stand) -> Self:
        """Ask for a rotation, as an administrator does, and follow it in a thread."""
        asked = cls(stand, _rotation_status(stand.storage()).get("revision", ""))
        # A daemon, because nobody needs the thread once the run is over, not even after an error.
        threading.Thread(target=asked._follow, daemon=True).start()
        stand.change({"metadata": {"annotations": {names.ANNOTATION_ROTATE: datetime.now(UTC).isoformat()}}})
        return asked

    def await_phase(self, wanted: RotationPhase) -> None:
        """Wait for a phase, or for a later one if this one is too short to be seen.

        Raises:
            NotInTime: The rotation does not reach it.
        """
        with self._news:
            if not self._news.wait_for(lambda: has_reached(self.history, wanted), PHASE_SECONDS):
                raise NotInTime(f"{self.stand.name} is not {wanted} after {PHASE_SECONDS} s")

    def await_over(self) -> None:
        """Wait until the rotation is Discarded."""

        def is_over() -> bool:
            return phase_of(self.stand.storage(), self.former) is RotationPhase.DISCARDED

        until("the rotation is over", is_over, OVER_SECONDS)

    def _follow(self) -> None:
        deadline = now() + PHASE_SECONDS + OVER_SECONDS
        while not has_reached(self.history, RotationPhase.DISCARDED) and now() < deadline:
            try:
                self._follow_once()
            except CommandFailed as error:
                progress.step(f"watching the rotation anew, because {error}")

    def _follow_once(self) -> None:
        for storage in self.stand.api.versions(STORAGES, self.stand.name, PHASE_SECONDS):
            phase = phase_of(storage, self.former)
            if phase is None or phase_at(self.history, now()) is phase:
                continue
            with self._news:
                self.history.append((now(), phase))
                self._news.notify_all()
            if phase is RotationPhase.DISCARDED:
                return


def has_reached(history: Sequence[tuple[float, RotationPhase]], wanted: RotationPhase) -> bool:
    """Tell whether a rotation has reached a phase or a later one. Pure."""
    return reached_at(history, wanted) < math.inf


def reached_at(history: Sequence[tuple[float, RotationPhase]], wanted: RotationPhase) -> float:
    """Tell when a rotation reached a phase or a later one; infinity if it has not. Pure."""
    order = tuple(RotationPhase)
    return next((at for at, phase in history if order.index(phase) >= order.index(wanted)), math.inf)


def phase_at(history: Sequence[tuple[float, RotationPhase]], at: float) -> RotationPhase | None:
    """Tell in which phase a rotation was at a time; None if it had not begun. Pure."""
    return next((phase for since, phase in reversed(history) if since <= at), None)


def phase_of(storage: Object, former: str) -> RotationPhase | None:
    """Tell the phase of the rotation that follows the former revision; None if it has not begun. Pure."""
    rotation = _rotation_status(storage)
    return RotationPhase(rotation["phase"]) if rotation and rotation["revision"] != former else None


def _rotation_status(storage: Object) -> dict[str, str]:
    found: dict[str, str] = storage.get("status", {}).get("rotation") or {}
    return found
