"""Two hours in the life of an installation, as Prometheus would have scraped them twice a minute.

The code's own writers make the lines of storages, of a `large`, a `small` and an external one. A person moves the
primary of the `large` one after half an hour, it fails over in the middle, a rotation waits for a consumer, and another
replica of the reconciler leads in the last half hour. The processes' own metrics have every name and label that the
code declares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.failover.candidates import LOST
from reconciler.metrics.families import STORAGE_FAMILIES
from reconciler.metrics.primary_answers import PrimaryAnswers
from reconciler.metrics.primary_changes import PrimaryChanges
from reconciler.metrics.storage_lines import UNKNOWN, Look, condition_lines, look_lines, session_lines
from reconciler.plan.change import REQUESTED
from reconciler.runtime.storage_metrics import REASONS
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.replication_info import info_from
from reconciler.state.statistics import statistics_from
from shared.consumers.identity import Consumer, Usage
from shared.names import valkey_pod
from shared.session_storage.sizes import Size
from shared.session_storage.status import (
    Condition,
    InstanceStatus,
    Phase,
    RotationPhase,
    RotationStatus,
    SessionStorageStatus,
)
from tests.reference.metrics import declared_series
from tests.support.storages import observed, primary_service, session_storage, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.metrics.lines import FamilyLines
    from reconciler.state.storage_state import StorageState
    from tests.support.prometheus_server import Window

INFO: Final = re.sub(
    r"^maxmemory:0$",
    f"maxmemory:{200 << 20}",
    (Path(__file__).parents[2] / "unit/reconciler/metrics/info-of-valkey-9.1.2.txt").read_text(),
    flags=re.MULTILINE,
)
"""What a Valkey said, but for the limit of its memory, which it did not have."""
GROWTH: Final = {
    "used_memory": 90_000,
    "evicted_keys": 1,
    "expired_keys": 20,
    "keyspace_hits": 300,
    "keyspace_misses": 4,
    "total_net_input_bytes": 70_000,
    "total_net_output_bytes": 90_000,
    "sync_full": 0,
}
"""By how much these figures of INFO grow from one look to the next."""
NAMESPACE: Final = "team"
SYSTEM: Final = "session-storage-system"
PRIMARIES: Final = (0, 2, 1)
"""Instances of the `large` storage that clients were sent to, one after another."""
CHANGES: Final = {
    0: PrimaryRecord(reason=REQUESTED, ended="2026-01-01T00:00:00Z"),
    2: PrimaryRecord(to=2, reason=REQUESTED, ended="2026-01-01T00:30:00Z", took=1.5),
    1: PrimaryRecord(to=1, reason=LOST, ended="2026-01-01T01:00:00Z", took=0.12),
}
"""How each of them became the primary."""
VALUES: Final = {
    "answer": ("allow", "patch", "deny", "error"),
    "configuration": ("mutating/session-storage-webhook",),
    "error": ("Conflict",),
    "kind": ("authority", "serving"),
    "le": ("0.001", "0.01", "0.1", "+Inf"),
    "outcome": ("ok", "error"),
    "part": ("heartbeat",),
    "path": ("/consumers", "/storages"),
    "phase": ("Stable",),
    "reason": ("slow",),
    "resource": ("secrets",),
    "serving": ("current", "other", "nothing"),
}
"""Labels of the processes' own metrics."""
_LINE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


@dataclass(frozen=True, slots=True)
class _Moment:
    """One scrape.

    Attributes:
        at: When.
        number: How many came before it.
        primary: Which instance of the `large` storage is the primary.
        replica: Which replica of the reconciler leads.
    """

    at: datetime
    number: int
    primary: int
    replica: int


def history(window: Window) -> Iterator[str]:
    """Write the whole history in the form of OpenMetrics, each line with its time."""
    count = int((window.end - window.start) / window.step) + 1
    storages = {replica: _Storages() for replica in (0, 1)}
    for number in range(count):
        at = datetime.fromtimestamp(window.start + number * window.step, UTC)
        primary = PRIMARIES[sum(number > count * share for share in (0.25, 0.5))]
        moment = _Moment(at, number, primary, int(number > count * 0.75))
        # One pod tells everything, so that figures of the leading reconciler are found beside the fact that it leads.
        target = {
            "namespace": SYSTEM,
            "pod": f"session-storage-{moment.replica}",
            "instance": f"10.0.0.{moment.replica}:8080",
        }
        for page in (storages[moment.replica].page(moment), _page_of_processes(moment)):
            yield from _scraped(page, target, at.timestamp())
    yield "# EOF\n"


class _Storages:
    """What one replica of the reconciler tells of storages while it leads."""

    def __init__(self) -> None:
        self._changes, self._answers = PrimaryChanges(REASONS), PrimaryAnswers()

    def page(self, moment: _Moment) -> str:
        self._note(moment)
        large, small = (self._managed(size, moment) for size in (Size.LARGE, Size.SMALL))
        theirs = session_storage({"external": {"url": "redis://store:6379"}}, name="theirs")
        status = SessionStorageStatus(phase=Phase.READY)
        external = look_lines(
            Look(state_of(theirs), status, (), None, moment.at), PrimaryChanges(REASONS), PrimaryAnswers()
        )
        parts = (*large, *small, external)
        return "session_storage_is_leader 1\n" + "".join(line.decode() for part in parts for line in part.values())

    def _note(self, moment: _Moment) -> None:
        for size in Size.LARGE, Size.SMALL:
            key = (NAMESPACE, size.value)
            record = CHANGES[moment.primary if size is Size.LARGE else 0]
            self._changes.note(key, record)
            self._answers.note_primary(key, record.to, moment.at.timestamp(), has_served=True)
            for second in range(30):
                self._answers.note_answer(key, record.to, 0.0004 * (1 + second % 3), moment.at.timestamp() + second)

    def _managed(self, size: Size, moment: _Moment) -> Iterator[FamilyLines]:
        key, state = (NAMESPACE, size.value), _state(size, moment)
        usage = Usage(Consumer("MCPServer", NAMESPACE, "weather"), key, is_wired=True)
        rotation = RotationStatus(
            phase=RotationPhase.AWAIT_CONSUMERS, since=moment.at - timedelta(minutes=3), revision="abc-1"
        )
        nodes = [
            InstanceStatus(name=valkey_pod(size.value, each.index), role=role, synced=True)
            for each in state.instances
            for role in ("primary" if each.index == moment.primary else "replica",)
        ]
        status = SessionStorageStatus(phase=Phase.READY, size=size, rotation=rotation, nodes=nodes)
        yield look_lines(
            Look(state, status, (usage,), moment.at - timedelta(days=3), moment.at), self._changes, self._answers
        )
        said = {"Ready": "True", "Redundant": "True", "FailoverBlocked": "False"}
        yield condition_lines(
            key,
            [
                Condition(type=each, status=word, reason="R", last_transition_time=moment.at)
                for each, word in said.items()
            ],
        )
        sessions = {(NAMESPACE, "weather"): 100 + moment.number, (NAMESPACE, "search"): 40, ("", UNKNOWN): 3}
        yield session_lines(key, sessions, 4 << 20, moment.at)


def _state(size: Size, moment: _Moment) -> StorageState:
    spec = {"size": size.value, "rotation": {"every": "720h"}}
    state = observed(size.value, storage=session_storage(spec, name=size.value))
    statistics = statistics_from(info_from(_info(moment.number)))
    instances = tuple(
        replace(each, facts=replace(each.facts, statistics=statistics)) for each in state.instances if each.facts
    )
    serving = moment.primary if size is Size.LARGE else 0
    return replace(state, instances=instances, primary_service=primary_service(serving))


def _info(number: int) -> str:
    """Say what Valkey says at a look: INFO with figures that have grown."""

    def field(match: re.Match[str]) -> str:
        return f"{match[1]}:{int(match[2]) + number * GROWTH[match[1]]}"

    def command(match: re.Match[str]) -> str:
        return f"calls={int(match[1]) + 50 * number},usec={int(match[2]) + 150 * number}"

    grown = re.sub(rf"^({'|'.join(GROWTH)}):(\d+)", field, INFO, flags=re.MULTILINE)
    return re.sub(r"calls=(\d+),usec=(\d+)", command, grown)


def _page_of_processes(moment: _Moment) -> str:
    storages = {family.name for family in STORAGE_FAMILIES} | {"session_storage_is_leader"}
    return "".join(
        line
        for name, labels in declared_series().items()
        if re.sub(r"_(?:bucket|sum|count)$", "", name) not in storages
        for line in _lines(name, sorted(labels), moment)
    )


def _lines(name: str, labels: list[str], moment: _Moment, chosen: Mapping[str, str] | None = None) -> Iterator[str]:
    chosen = chosen or {}
    if labels:
        for value in VALUES[labels[0]]:
            yield from _lines(name, labels[1:], moment, {**chosen, labels[0]: value})
        return
    written = ",".join(f'{label}="{value}"' for label, value in chosen.items())
    yield f"{name}{{{written}}} {_value(name, moment)}\n"


def _value(name: str, moment: _Moment) -> float:
    if re.search(r"_(?:total|bucket|sum|count)$", name):
        return 1 + 2 * moment.number
    if re.search(r"_(?:not_after|due|error)_seconds$", name):
        return moment.at.timestamp() + 20 * 86400
    return 1


def _scraped(page: str, target: Mapping[str, str], at: float) -> Iterator[str]:
    """Do to a page what Prometheus does: add the target's labels where the page has none of that name."""
    for line in page.splitlines():
        name, labels, value = _LINE.fullmatch(line).groups()  # type: ignore[union-attr]  # what we have just written
        own = set(re.findall(r'(\w+)="', labels or ""))
        added = ",".join(f'{label}="{text}"' for label, text in target.items() if label not in own)
        yield f"{name}{{{','.join(filter(None, (labels, added)))}}} {value} {at:.0f}\n"
