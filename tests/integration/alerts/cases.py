"""For each alert, series that just fire it and series that just do not, as promtool writes them.

A value `1x3` stands for four ones, `0+15x3` for 0, 15, 30, 45, and `_` for no sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HTTP: Final = "10.0.0.1:8080"
"""A reconciler's target; `instance` is Prometheus' own label."""
WEBHOOK: Final = "consumers.toolhive.stacklok.dev"


@dataclass(frozen=True, slots=True)
class Series:
    """One input series."""

    name: str
    values: str
    labels: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The series as promtool reads it."""
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}"


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


def process(name: str, values: str, **labels: str) -> Series:
    """A series that a process of ours tells of itself."""
    return Series(name, values, (("instance", HTTP), *labels.items()))


def own(name: str, values: str, **labels: str) -> Series:
    """A series of a storage."""
    return process(f"session_storage_{name}", values, namespace="team", storage="mine", **labels)


def condition(kind: str, values: str) -> Series:
    """Whether a condition of the storage is True."""
    return own("condition", values, type=kind, status="True")


def server(name: str, values: str, pod: int = 0, role: str = "primary", **labels: str) -> Series:
    """A series of one of the storage's Valkey servers."""
    pods = {"namespace": "team", "storage": "mine", "pod": f"mine-valkey-{pod}-0", "role": role}
    return process(f"redis_{name}", values, **pods, **labels)


SERVED: Final = own("probes_total", "0+15x400", outcome="answered")
EXISTS: Final = own("info", "1x1000", size="small", phase="Ready", version="9.1.2")


def memory(used: str) -> tuple[Series, ...]:
    """A primary that uses so much of 100 bytes."""
    return server("memory_used_bytes", used), server("memory_max_bytes", "100x400")


def sessions(count: int) -> tuple[Series, ...]:
    """Live sessions of two consumers."""
    return (
        own("sessions", f"{count - 400}x1000", consumer_namespace="team", consumer="one"),
        own("sessions", "400x1000", consumer_namespace="other", consumer="two"),
    )


def evicted(values: str) -> Series:
    """Evictions of the primary."""
    return server("evicted_keys_total", values)


def steps(every: int, by: int, count: int) -> str:
    """A counter that stands still, and grows `count` times by `by`, always after `every` samples."""
    return " ".join(f"{by * number}x{every - 1}" for number in range(count + 1))


def probes(every: int, away: int, count: int, period: int) -> tuple[Series, ...]:
    """A storage whose primary does not answer for `away` seconds, `count` times.

    Args:
        every: Samples between two such outages.
        away: Length of each, in seconds.
        count: How many there are.
        period: Seconds between two samples.
    """
    answered = [period - (0 if at % every else away) for at in range(1, every * (count + 1))]
    good = " ".join(map(str, accumulate(answered, initial=0)))
    return (
        EXISTS,
        own("probes_total", good, outcome="answered"),
        own("probes_total", steps(every, away, count), outcome="unanswered"),
        own("probe_seconds_bucket", good, le="0.1"),
        own("probe_seconds_bucket", good, le="+Inf"),
    )


def lost(every: int, count: int) -> tuple[Series, ...]:
    """A storage with 1,000 sessions that evicts one `count` times, always after `every` samples."""
    return EXISTS, *sessions(1000), evicted(steps(every, 1, count))


def reviews(within_a_second: int) -> tuple[Series, ...]:
    """What an API server counted of 1,000 reviews each 15 s."""
    counts = {"0.5": 900, "1": within_a_second, "2.5": 1000, "+Inf": 1000}
    name = "apiserver_admission_webhook_admission_duration_seconds_bucket"
    return tuple(Series(name, f"0+{count}x60", (("name", WEBHOOK), ("le", le))) for le, count in counts.items())


def refused(error_type: str) -> Series:
    """Refusals that an API server counted."""
    name = "apiserver_admission_webhook_rejection_count"
    return Series(name, "0+1x60", (("name", WEBHOOK), ("error_type", error_type)))


def certificate(name: str, values: str, **labels: str) -> Series:
    """A series of the webhook's certificates."""
    return process(f"session_storage_{name}", values, **labels)


def _objectives() -> Iterable[Case]:
    slo = "SessionStorageSloBurns"
    # A page after more than 52 s away within an hour, of 30 days with 99.9 %.
    yield Case(slo, "critical", "1h2m", probes(60, 55, 1, 60), (probes(60, 50, 1, 60),), step="1m")
    # After more than 130 s within six hours, with less than 52 s in each of them.
    yield Case(slo, "critical", "6h10m", probes(60, 25, 6, 60), (probes(60, 20, 6, 60),), step="1m")
    # A ticket after more than 259 s within a day, and within three days.
    yield Case(slo, "warning", "24h", probes(12, 12, 24, 300), (probes(12, 10, 24, 300),), step="5m")
    yield Case(slo, "warning", "72h", probes(12, 4, 72, 300), (probes(12, 3, 72, 300),), step="5m")
    # Of 1,000 sessions with 99.99 %: two within an hour, four within six; eight within a day and within three.
    yield Case(slo, "critical", "1h2m", lost(30, 2), (lost(60, 1),), step="1m")
    yield Case(slo, "critical", "5h22m", lost(80, 4), (lost(80, 3),), step="1m", spared_at="4h2m")
    yield Case(slo, "warning", "24h5m", lost(36, 8), (lost(41, 7),), step="5m", spared_at="24h")
    yield Case(slo, "warning", "70h", lost(105, 8), (lost(120, 7),), step="5m")


def _storages() -> Iterable[Case]:
    down = condition("Available", "0x20")
    recovers = condition("Available", "0x3 1x20")
    yield Case("SessionStorageDown", "critical", "75s", (down, SERVED), ((recovers, SERVED), (down,)))
    blocked = "SessionStorageFailoverBlocked"
    yield Case(
        blocked, "critical", "15s", (condition("FailoverBlocked", "1x4"),), ((condition("FailoverBlocked", "0x4"),),)
    )
    yield Case(
        "SessionStorageSessionsLost",
        "critical",
        "16m",
        (*sessions(1000), evicted("0x40 11x40")),
        ((*sessions(1000), evicted("0x40 9x40")),),
    )
    # A new leader's series begins with what the server counted before.
    yield Case("SessionStorageSessionsLost", "warning", "4m", (evicted("7x10 8x20"),), ((evicted("_x9 7x20"),),))
    yield Case(
        "SessionStorageMemoryHigh", "warning", "10m15s", memory("86x100"), (memory("85x100"), memory("86x38 84x60"))
    )
    yield Case(
        "SessionStorageFillsSoon",
        "warning",
        "26m",
        memory("50+0.05x400"),
        (memory("50+0.038x400"), memory("20+0.1x400")),
        spared_at="1h",
    )
    redundant = condition("Redundant", "0x100")
    yield Case(
        "SessionStorageNotRedundant",
        "critical",
        "2m15s",
        (own("synced_replicas", "0x20"), redundant, SERVED),
        (
            (own("synced_replicas", "1x20"), redundant, SERVED),
            (own("synced_replicas", "0x20"), SERVED),
            (own("synced_replicas", "0x20"), redundant),
            (
                own("synced_replicas", "0x20"),
                redundant,
                SERVED,
                own("condition", "1x20", type="SizeApplied", status="False"),
            ),
        ),
    )
    yield Case(
        "SessionStorageNotRedundant", "warning", "10m15s", (redundant,), ((condition("Redundant", "0x39 1x40"),),)
    )
    # After a move, two series of the backlog are there for a moment.
    backlog = (server("replication_backlog_bytes", "1000x40"), server("replication_backlog_bytes", "1000x40", pod=1))
    yield Case(
        "SessionStorageReplicaLags",
        "warning",
        "2m15s",
        (*backlog, own("replica_lag_bytes", "501x40", pod="mine-valkey-2-0")),
        ((*backlog, own("replica_lag_bytes", "500x40", pod="mine-valkey-2-0")),),
    )
    four, three = (server("replica_resyncs_full", steps(20, 1, count)) for count in (4, 3))
    yield Case(
        "SessionStorageFullResyncs",
        "warning",
        "30m",
        (four, condition("Updating", "0x200")),
        ((three,), (four, condition("Updating", "1x20 0x200"))),
    )
    often = "primary_changes_total"
    unplanned = {"reason": "PrimaryLost", "planned": "false"}
    planned = own(often, steps(10, 1, 9), reason="Switchover", planned="true")
    yield Case(
        "SessionStorageFailsOverOften",
        "warning",
        "30m",
        (own(often, steps(20, 1, 3), **unplanned),),
        ((own(often, steps(20, 1, 2), **unplanned), planned),),
    )


def _clients() -> Iterable[Case]:
    refusals = "rejected_connections_total"
    yield Case(
        "SessionStorageClientsRefused",
        "warning",
        "5m45s",
        (server(refusals, "0+1x60"),),
        # One burst, however large.
        ((server(refusals, "0x4 900x60"),),),
    )
    most = server("max_clients", "10000x40")
    yield Case(
        "SessionStorageClientsRefused",
        "warning",
        "5m15s",
        (server("connected_clients", "8501x40"), most),
        ((server("connected_clients", "8500x40"), most),),
    )
    for name in ("aof_last_write_status", "aof_last_bgrewrite_status"):
        yield Case("SessionStorageAofFails", "critical", "75s", (server(name, "0x20"),), ((server(name, "0x3 1x20"),),))
    logins = "acl_access_denied_auth_total"
    yield Case(
        "SessionStorageAuthFails", "warning", "15m15s", (server(logins, "0+16x80"),), ((server(logins, "0+14x80"),),)
    )
    ready = condition("Ready", "0x100")
    yield Case("SessionStorageNotReady", "warning", "15m15s", (ready,), ((condition("Ready", "0x59 1x40"),),))
    since = "rotation_phase_since_seconds"
    yield Case(
        "SessionStorageRotationStuck",
        "warning",
        "15s",
        (own(since, "3601x4", phase="AwaitConsumers"),),
        ((own(since, "3600x4", phase="AwaitConsumers"),), (own(since, "99999x4", phase="Discarded"),)),
    )
    every = own("rotation_interval_seconds", "1000x4")
    yield Case(
        "SessionStoragePasswordOld",
        "warning",
        "15s",
        (own("password_age_seconds", "1101x4"), every),
        ((own("password_age_seconds", "1100x4"), every), (own("password_age_seconds", "99999x4"),)),
    )
    unwired = {"kind": "MCPServer", "wired": "false"}
    yield Case(
        "SessionStorageConsumerUnwired",
        "warning",
        "15m15s",
        (own("consumers", "1x80", **unwired),),
        ((own("consumers", "1x59 0x40", **unwired),), (own("consumers", "9x80", kind="MCPServer", wired="true"),)),
    )


def _processes() -> Iterable[Case]:
    unattended = "SessionStorageUnattended"
    led = process("session_storage_is_leader", "1x3 0x20")
    other = Series("session_storage_is_leader", "0x10 1x20", (("instance", "10.0.0.2:8080"),))
    yield Case(unattended, "critical", "3m15s", (led,), ((led, other),))
    yield Case(unattended, "critical", "2m15s", (SERVED,), ((process("session_storage_is_leader", "1x20"),),))
    # promtool's clock begins with 0.
    leads = process("session_storage_is_leader", "1x40")
    looked_at = own("looked_at_timestamp_seconds", "0x40")
    yield Case(unattended, "critical", "5m15s", (leads, looked_at), ((leads, looked_at),), spared_at="5m")
    passes = "session_storage_reconciles_total"
    yield Case(
        "SessionStorageReconcileFails",
        "warning",
        "16m",
        (process(passes, "0+16x80", outcome="ok"), process(passes, "0+2x80", outcome="bug")),
        ((process(passes, "0+19x80", outcome="ok"), process(passes, "0+2x80", outcome="error")),),
    )
    slow = "SessionStorageWebhookSlow"
    yield Case(slow, "warning", "5m45s", reviews(980), (reviews(991),))
    yield Case(slow, "warning", "5m45s", (refused("calling_webhook_error"),), ((refused("no_error"),),))
    opened = "apiserver_admission_webhook_fail_open_count"
    yield Case(
        slow,
        "warning",
        "5m45s",
        (Series(opened, "0+1x60", (("name", WEBHOOK),)),),
        (
            (Series(opened, "0+1x60", (("name", "another.example.com"),)),),
            (Series(opened, "0x4 5x60", (("name", WEBHOOK),)),),
        ),
    )


def _certificates() -> Iterable[Case]:
    expiry = "certificate_not_after_seconds"
    yield Case(
        "SessionStorageCertificateExpires",
        "critical",
        "6m",
        (certificate(expiry, "86400x40", kind="serving"),),
        ((certificate(expiry, "86761x40", kind="serving"),), (certificate(expiry, "9x40", kind="next"),)),
    )
    bundle = "ca_bundle_not_after_seconds"
    yield Case(
        "SessionStorageCABundleExpires",
        "critical",
        "6m",
        (certificate(bundle, "86400x40", configuration="mutating/one"),),
        ((certificate(bundle, "86761x40", configuration="mutating/one"),),),
    )
    used = "webhook_certificate_not_after_seconds"
    yield Case(
        "SessionStorageWebhookCertificateExpires",
        "critical",
        "6m",
        (certificate(used, "86400x40"),),
        ((certificate(used, "86761x40"),), (certificate(used, "0x40"),)),
    )
    due = "certificate_due_seconds"
    yield Case(
        "SessionStorageCertificateOverdue",
        "warning",
        "66m",
        (certificate(due, "0x400", kind="serving"),),
        ((certificate(due, "361x400", kind="serving"),),),
    )
    phase = "certificate_phase"
    yield Case(
        "SessionStorageCertificateRotationStuck",
        "warning",
        "61m",
        (certificate(phase, "1x400", phase="Retire"),),
        ((certificate(phase, "1x400", phase="Stable"),), (certificate(phase, "1x230 0x100", phase="Retire"),)),
    )
    pods = "webhook_pods_seen"
    yield Case(
        "SessionStorageWebhookPodBehind",
        "warning",
        "16m",
        (certificate(pods, "1x80", serving="other"),),
        ((certificate(pods, "1x58 0x40", serving="other"),), (certificate(pods, "2x80", serving="current"),)),
    )
    usable = "webhook_serving_secret_usable"
    yield Case(
        "SessionStorageServingSecretUnusable",
        "warning",
        "6m",
        (certificate(usable, "0x40"),),
        ((certificate(usable, "0x18 1x40"),),),
    )
    repairs = "ca_bundle_repairs_total"
    yield Case(
        "SessionStorageCABundleContested",
        "warning",
        "10m",
        (certificate(repairs, steps(9, 1, 4), configuration="mutating/one"),),
        ((certificate(repairs, steps(9, 1, 3), configuration="mutating/one"),),),
    )
    errors = "certificate_errors_total"
    yield Case(
        "SessionStorageCertificatesFail",
        "warning",
        "29m",
        (certificate(errors, steps(9, 1, 30), error="Conflict"),),
        ((certificate(errors, steps(14, 1, 30), error="Conflict"),),),
    )
    yield Case(
        "SessionStorageCertificatesUnattended",
        "warning",
        "16m",
        (SERVED,),
        ((certificate(phase, "1x80", phase="Stable"),),),
    )


CASES: Final = (*_objectives(), *_storages(), *_clients(), *_processes(), *_certificates())
