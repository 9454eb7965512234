"""Reads how far the holders of a storage's credential are with a new one, and remembers what need not be read again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.state.credential_rollout import Report, Workload, addresses_of, is_alive, report
from shared import errors, names
from shared.consumers.access import is_admitted
from shared.consumers.credential_revision import CredentialRevision
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.kinds import KINDS
from shared.kubernetes.client import Selector
from shared.objects.resources import DEPLOYMENTS, PODS, STATEFUL_SETS, Key, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from shared.consumers.identity import Consumer, Usage

REFUSAL_SECONDS: Final = 60.0
"""How long a consumer whose stamp was refused is left alone."""
READS_AT_ONCE: Final = 8


class Reader(Protocol):
    """Reads past every cache: a roll-out is followed for minutes a year, too seldom to keep all pods in memory."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object or raise NotFound."""

    async def list_all(self, resource: Resource, selector: Selector = ...) -> tuple[list[Object], str]:
        """Read all objects that match."""


@dataclass(slots=True)
class _Memory:
    """What is known of one storage's holders: who has the revision once has it for good."""

    revision: str
    done: dict[str, Report] = field(default_factory=dict)


class Holders:
    """Tells how far consumers are, and which other pods hold a credential."""

    def __init__(self, cluster: Reader, find: Callable[[Consumer], Object | None]) -> None:
        self._cluster = cluster
        self._find = find
        self._memory: dict[Key, _Memory] = {}
        self._refused: dict[Consumer, tuple[datetime, str]] = {}
        self._turn = asyncio.Semaphore(READS_AT_ONCE)

    def refuse(self, consumer: Consumer, reason: str) -> None:
        """Take in that a consumer could not be stamped."""
        self._refused[consumer] = _now(), reason

    async def look(
        self, storage: Object, usages: Iterable[Usage], revision: str, since: datetime, *, is_thorough: bool
    ) -> tuple[Report, ...]:
        """Report on every holder of a storage's credential, consumers first.

        Args:
            storage: Whose.
            usages: Of it.
            revision: Of the credential.
            since: When it was published.
            is_thorough: Whether to read those again that are known to be done.

        Raises:
            ClusterError: A read failed.
        """
        key = key_of(storage)
        memory = self._memory.get(key)
        if memory is None or memory.revision != revision or is_thorough:
            memory = self._memory[key] = _Memory(revision)
        admitted = [usage for usage in usages if not usage.is_going and is_admitted(storage, usage)]
        found = [(usage.consumer, obj) for usage in admitted if (obj := self._find(usage.consumer))]
        connected = [(who, obj) for who, obj in found if _is_connected(obj, key)]
        reports = await asyncio.gather(*(self._report(who, obj, memory) for who, obj in connected))
        namespaces = {key[0], *(who.namespace for who, _ in connected)}
        others = await asyncio.gather(*(self._others(key[1], namespace, since) for namespace in sorted(namespaces)))
        return (*reports, *(each for found in others for each in found))

    async def _report(self, who: Consumer, obj: Object, memory: _Memory) -> Report:
        if done := memory.done.get(obj["metadata"]["uid"]):
            return done
        stamp = CredentialRevision.of(obj)
        if stamp is None or stamp.revision != memory.revision:
            at, reason = self._refused.get(who, (None, ""))
            is_refused = at is not None and _now() - at < timedelta(seconds=REFUSAL_SECONDS)
            return Report(str(who), who, obstacle=reason or "it has not been restarted yet", is_refused=is_refused)
        self._refused.pop(who, None)
        workloads = [await self._workload(resource, who) for resource in _resources(obj)]
        reported = report(who, stamp, [workload for workload in workloads if workload is not None])
        if reported.is_done:
            memory.done[obj["metadata"]["uid"]] = reported
        return reported

    async def _workload(self, resource: Resource, who: Consumer) -> Workload | None:
        async with self._turn:
            try:
                obj = await self._cluster.get(resource, who.namespace, who.name)
            except errors.NotFound:
                return None
            labels = obj["spec"]["selector"].get("matchLabels", {})
            selector = Selector(who.namespace, ",".join(f"{key}={value}" for key, value in sorted(labels.items())))
            pods, _ = await self._cluster.list_all(PODS, selector)
        return Workload(obj, tuple(pods))

    async def _others(self, storage: str, namespace: str, since: datetime) -> list[Report]:
        """Report on pods that are not ToolHive's, and were labelled by somebody as holders of the credential."""
        selector = Selector(namespace, f"{names.LABEL_CONSUMER_OF}={storage}")
        async with self._turn:
            pods, _ = await self._cluster.list_all(PODS, selector)
        return [_of_nobody(pod, since) for pod in pods if is_alive(pod) and not _is_toolhives(pod)]


def _of_nobody(pod: Object, since: datetime) -> Report:
    """Report on a pod that is no consumer's: one that came after the credential was published has read that one."""
    namespace, name = key_of(pod)
    title = f"Pod {namespace}/{name}"
    if _created(pod) > since:
        return Report(title, is_done=True, addresses=frozenset(addresses_of(pod)))
    return Report(title, obstacle="it is no part of a consumer and has to be restarted by whoever runs it")


def _is_connected(consumer: Object, storage: Key) -> bool:
    record = InjectionRecord.of(consumer)
    return record is not None and record.reference.key == storage


def _resources(consumer: Object) -> Iterator[Resource]:
    """Name what runs those pods of a consumer that hold the credential; each bears the consumer's name."""
    record, kind = InjectionRecord.of(consumer), KINDS[consumer["kind"]]
    if record is None:
        return
    if record.target.has_proxy:
        yield DEPLOYMENTS
    if record.target.has_backend and kind.backend is not None:
        yield STATEFUL_SETS


def _is_toolhives(pod: Object) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("toolhive") == "true")


def _created(pod: Object) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def _now() -> datetime:
    return datetime.now(UTC)
