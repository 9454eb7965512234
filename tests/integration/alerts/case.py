"""What a case of an alert is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.alerts.series import Series


@dataclass(frozen=True, slots=True)
class Case:
    """An alert, when it fires and when it does not.

    Attributes:
        alert: Its name.
        severity: The severity with which it fires.
        at: When to ask, from the first sample on.
        fires: Series that fire it.
        spares: Sets of series of which none fires it.
        step: Time between two samples.
        spared_at: When to ask of those that do not fire it, if at another time.
    """

    alert: str
    severity: str
    at: str
    fires: tuple[Series, ...]
    spares: tuple[tuple[Series, ...], ...]
    step: str = "15s"
    spared_at: str = ""
