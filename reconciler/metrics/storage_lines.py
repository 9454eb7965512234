"""Writes what the reconciler knows of one storage as lines for Prometheus. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.metrics import families
from reconciler.metrics.families import STORAGE
from reconciler.metrics.instance_lines import add_instance
from reconciler.metrics.lines import StorageLines
from shared import names
from shared.session_storage.sizes import DEFAULT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.metrics.lines import FamilyLines, LabelledLines
    from reconciler.metrics.primary_answers import PrimaryAnswers
    from reconciler.metrics.primary_changes import PrimaryChanges
    from reconciler.state.instance import Instance
    from reconciler.state.storage_state import StorageState
    from shared.consumers.identity import Usage
    from shared.objects.resources import Key
    from shared.session_storage.status import Condition, RotationStatus, SessionStorageStatus

EXTERNAL: Final = "external"
UNKNOWN: Final = "unknown"
"""What the label `consumer` says of sessions whose keys belong to no consumer that is known here."""
MAX_LAG: Final = 2**63
"""Valkey counts in 64 bits; Prometheus refuses a whole answer for a number that is out of its range."""
_STATUSES: Final = ("True", "False", "Unknown")


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a storage found, and what was decided about it.

    Attributes:
        state: What the observer saw.
        status: The status that the storage has after that.
        usages: The consumers that refer to it.
        password_made: When the oldest password was made that Valkey accepts; None if that is not known.
        at: When that was taken in; aware.
    """

    state: StorageState
    status: SessionStorageStatus
    usages: tuple[Usage, ...]
    password_made: datetime | None
    at: datetime

    @property
    def key(self) -> Key:
        """The storage's namespace and name."""
        return self.state.storage.key


def look_lines(look: Look, changes: PrimaryChanges, answers: PrimaryAnswers) -> FamilyLines:
    """Write everything that a look found, the conditions apart."""
    lines, storage, spec = StorageLines(), look.state.storage, look.state.storage.spec
    own, primary = lines.labelled(STORAGE, *look.key), look.state.primary
    version = primary.facts.statistics.valkey_version if primary is not None and primary.facts is not None else ""
    is_external = spec is not None and spec.external is not None
    size = EXTERNAL if is_external else look.status.size or (spec.size if spec is not None else None) or DEFAULT_SIZE
    own.add(families.INFO, 1, size, look.status.phase or "", version)
    own.add(families.LOOKED_AT, look.at.timestamp())
    _add_consumers(own, look)
    if look.status.rotation is not None:
        _add_rotation(own, look.status.rotation, look.at)
    if is_external or storage.is_terminating:
        return lines.encoded()
    _add_passwords(own, look)
    for instance in look.state.instances:
        add_instance(lines, look.key, instance, is_primary=instance is primary)
    if primary is not None:
        own.add(families.WRITES_PAUSED, int(primary.is_paused))
        _add_replicas(own, look, primary)
    changes.add_lines(own, look.key)
    answers.add_lines(own, look.key)
    return lines.encoded()


def unseen_lines(storage: Key, since: datetime) -> FamilyLines:
    """Write the lines of a storage that nobody could look at.

    Args:
        storage: The storage.
        since: When somebody first tried; aware. As old as that is what is known of it: nothing.
    """
    lines = StorageLines()
    lines.labelled(STORAGE, *storage).add(families.LOOKED_AT, since.timestamp())
    return lines.encoded()


def condition_lines(storage: Key, conditions: Iterable[Condition]) -> FamilyLines:
    """Write the conditions of a storage's status, as kube-state-metrics writes those of Kubernetes' own kinds."""
    lines = StorageLines()
    own = lines.labelled(STORAGE, *storage)
    for condition in conditions:
        for status in _STATUSES:
            own.add(families.CONDITION, int(condition.status == status), condition.type, status)
    return lines.encoded()


def session_lines(
    storage: Key, sessions: Mapping[tuple[str, str], int], used_memory: int | None, at: datetime
) -> FamilyLines:
    """Write how many sessions each consumer has.

    Args:
        storage: The storage.
        sessions: By namespace and name of the consumer; `("", UNKNOWN)` for those of nobody known.
        used_memory: Bytes that the storage's primary uses; None if that is not known.
        at: When the count ended; aware.
    """
    lines = StorageLines()
    own = lines.labelled(STORAGE, *storage)
    for (namespace, name), count in sorted(sessions.items()):
        own.add(families.SESSIONS, count, namespace, name)
    own.add(families.SESSIONS_COUNTED, at.timestamp())
    total = sum(sessions.values())
    if total and used_memory is not None:
        own.add(families.MEMORY_PER_SESSION, used_memory // total)
    return lines.encoded()


def _add_consumers(own: LabelledLines, look: Look) -> None:
    admitted = set(look.state.sharing.admitted)
    counted = Counter(
        (usage.consumer.kind, usage.is_wired and usage.consumer in admitted)
        for usage in look.usages
        if not usage.is_terminating
    )
    for kind in sorted({kind for kind, _ in counted}):
        for is_wired in (True, False):
            own.add(families.CONSUMERS, counted[kind, is_wired], kind, str(is_wired).lower())


def _add_rotation(own: LabelledLines, rotation: RotationStatus, now: datetime) -> None:
    since = max((now - rotation.since).total_seconds(), 0.0)
    own.add(families.ROTATION_PHASE, round(since), rotation.phase)


def _add_passwords(own: LabelledLines, look: Look) -> None:
    if look.password_made is not None:
        own.add(families.PASSWORD_AGE, max(round((look.at - look.password_made).total_seconds()), 0))
    spec = look.state.storage.spec
    if spec is not None and spec.rotation is not None:
        own.add(families.ROTATION_INTERVAL, round(spec.rotation.interval.total_seconds()))


def _add_replicas(own: LabelledLines, look: Look, primary: Instance) -> None:
    replicas = [each for each in look.status.nodes if each.role == names.ROLE_REPLICA]
    own.add(families.SYNCED_REPLICAS, sum(each.synced for each in replicas))
    for instance in look.state.instances:
        said, leading = instance.replication, primary.replication
        if instance is not primary and instance.responds and primary.responds and said.lineage == leading.lineage:
            pod = names.valkey_pod(look.state.storage.name, instance.index)
            own.add(families.REPLICA_LAG, min(max(leading.offset - said.offset, 0), MAX_LAG), pod)
