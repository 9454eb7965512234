"""The drills: which alert, by which cause, on a storage of which size; and how one of them goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, TypeAlias

from deploy.demo.kube import until
from shared.session_storage.sizes import Size
from tests.chaos.api import NAMESPACE
from tests.chaos.faults.fault import now
from tests.e2e.alerts import causes
from tests.e2e.alerts.site import Site
from tests.support.alert_rules import alerts
from tests.support.prometheus_server import Server

Cause: TypeAlias = Callable[[Site], AbstractContextManager[float]]
"""Returns, as its block begins, since when it has been in effect, in seconds of the monotonic clock."""

LATE_SECONDS: Final = 60
"""How much later than its rule an alert may be: the reconciler looks twice a minute, Prometheus every 5 s."""
GONE_SECONDS: Final = 120
"""The same for its end, and the time that a storage takes to recover."""
WINDOW_SECONDS: Final = 300
"""What the alert counts was in the last five minutes."""
UNITS: Final = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Drill:
    """One alert, and what causes it.

    Attributes:
        alert: The alert's name.
        severity: `critical` or `warning`.
        cause: What causes it, until its block ends.
        size: Size of the storage that the drill gets; None if the alert is about the installation.
        prepare: Prepares the storage for the cause, and restores it afterwards.
        takes: Seconds of the cause after which the alert's expression holds.
        lingers: Seconds for which the alert's expression holds after the cause.
        is_last: Whether nothing is known of storages meanwhile, so that all drills on storages have to be over.
    """

    alert: str
    severity: str
    cause: Cause
    size: Size | None = None
    prepare: Callable[[Site], AbstractContextManager[None]] = lambda _: nullcontext()
    takes: float = 0.0
    lingers: float = 0.0
    is_last: bool = False

    @property
    def storage(self) -> str:
        """The name of its storage; empty if it needs none."""
        return self.alert.removeprefix("SessionStorage").lower() if self.size else ""

    @property
    def lasts(self) -> int:
        """For how many seconds the alert's expression has to hold, as its rule says."""
        rules = (rule for rule in alerts() if (rule.name, rule.severity) == (self.alert, self.severity))
        found = next(rules).lasts
        return int(found[:-1]) * UNITS[found[-1]]

    def is_firing(self, server: Server) -> bool:
        """Tell whether the alert fires for the drill's storage."""
        wanted = {"alertname": self.alert, "severity": self.severity}
        wanted |= {"namespace": NAMESPACE, "storage": self.storage} if self.size else {}
        return any(each.is_firing and wanted.items() <= each.labels.items() for each in server.alerts())


@dataclass(frozen=True)
class Seen:
    """How a drill went.

    Attributes:
        drill: Which one.
        fired: Seconds from when the cause took effect until the alert was seen firing.
        gone: Seconds from the end of the cause until it was gone.
    """

    drill: Drill
    fired: float
    gone: float

    def __str__(self) -> str:
        rule = f"for {self.drill.lasts} s" + (f", after {self.drill.takes:.0f} s" if self.drill.takes else "")
        return f"{self.drill.alert}: fires after {self.fired:.0f} s ({rule}), gone after {self.gone:.0f} s"


def run(drill: Drill, site: Site, server: Server) -> Seen:
    """Cause an alert, see it fire in time, end the cause, and see the alert go.

    Raises:
        DemoError: It did not fire in time or did not go, or the cause failed.
    """
    with drill.prepare(site):
        with drill.cause(site) as since:
            due = since + drill.takes + drill.lasts + LATE_SECONDS
            until(f"{drill.alert} fires", lambda: drill.is_firing(server), max(due - now(), 0))
            fired = now() - since
        ended = now()
        until(f"{drill.alert} goes", lambda: not drill.is_firing(server), drill.lingers + GONE_SECONDS)
        return Seen(drill, fired, now() - ended)


RECORDED_SECONDS: Final = 60
"""Prometheus records rates once a minute."""
BUDGET_SECONDS: Final = 52 + RECORDED_SECONDS
"""An outage of 52 s uses up an hour's budget."""

QUICKEST: Final = Drill("SessionStorageFailoverBlocked", "critical", causes.primary_and_a_replica_cut_off, Size.LARGE)
DRILLS: Final = (
    Drill("SessionStorageDown", "critical", causes.primary_cut_off, Size.MEDIUM),
    QUICKEST,
    Drill("SessionStorageNotRedundant", "critical", causes.replicas_cut_off, Size.LARGE),
    Drill("SessionStorageSessionsLost", "warning", causes.memory_full, Size.SMALL, lingers=WINDOW_SECONDS),
    Drill("SessionStorageAofFails", "critical", causes.disk_full, Size.MEDIUM, causes.on_small_disk_alone),
    # Connections may be refused before the limit is high again, which counts for five minutes.
    Drill("SessionStorageClientsRefused", "warning", causes.connections_in_use, Size.SMALL, lingers=WINDOW_SECONDS),
    Drill(
        "SessionStorageSloBurns",
        "critical",
        causes.outage_over,
        Size.SMALL,
        takes=BUDGET_SECONDS,
        lingers=WINDOW_SECONDS + RECORDED_SECONDS,
    ),
    # Its series are the API server's, so no other drill disturbs it, nor the other way round.
    Drill("SessionStorageWebhookSlow", "warning", causes.no_webhook, lingers=WINDOW_SECONDS),
    Drill("SessionStorageUnattended", "critical", causes.no_reconciler, is_last=True),
)
