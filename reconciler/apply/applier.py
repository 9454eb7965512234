"""Carries out the steps of a plan: one idempotent step after the other. It never reads.

A step that fails stops only what builds on it: of what the API server refuses, nothing else waits.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Apply, Delete, LabelRole, Replace, Restart, Share, Write, WriteAuth
from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.manifests import secrets
from shared import errors, names
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.objects.resources import PODS, SECRETS, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.actions.plan import Step, Strand
    from reconciler.apply.instance_actions import InstanceActions
    from reconciler.runtime.write_memory import WriteMemory
    from shared.consumers.identity import Consumer
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key

MAX_REASON: Final = 256
"""How many characters of the API server's answer a message repeats about one consumer."""
_RESOURCES: Final = {resource.kind: resource for resource in CONSUMER_RESOURCES}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failures:
    """What went wrong with the steps of a plan.

    Attributes:
        refused: Whether the API server refused a write for good: the status is to tell.
        transient: The first other error; None if there was none.
    """

    refused: bool = False
    transient: errors.SessionStorageError | None = None


class Applier:
    """Carries out plans, and lets the caches know at once what the API server answered."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Mapping[str, Informer],
        on_refusal: Callable[[Consumer, str], None],
        instances: InstanceActions,
        memory: WriteMemory,
    ) -> None:
        """Take among others a callback, which gets each consumer that the API server refused to stamp, and why."""
        self._cluster = cluster
        self._caches = caches
        self._on_refusal = on_refusal
        self._instances = instances
        self._memory = memory

    async def carry_out(self, storage: Key, strands: Iterable[Strand]) -> Failures:
        """Carry out steps; if one fails, go on with the next strand.

        Raises:
            NoAnswer: The API server does not answer, and each further step would wait for it in vain.
        """
        failures = Failures()
        for strand in strands:
            for step in strand:
                started = time.monotonic()
                try:
                    await self._step(storage, step)
                except errors.NoAnswer:
                    raise
                except errors.SessionStorageError as error:
                    failures = self._failed(storage, step, error, failures)
                    break
                extra = {"action": str(step), "seconds": round(time.monotonic() - started, 3)}
                _log.debug("carried out an action", extra=extra)
        return failures

    def forget(self, storage: Key) -> None:
        """Drop what is remembered of a storage that is gone."""
        self._instances.forget(storage)

    def _failed(self, storage: Key, step: Step, error: errors.SessionStorageError, failures: Failures) -> Failures:
        extra = {"action": str(step), "error": f"{type(error).__name__}: {error}"}
        _log.warning("an action failed; the others go on", extra=extra)
        if isinstance(error, errors.ClusterError) and self._memory.refuse(storage, step, error):
            return replace(failures, refused=True)
        if isinstance(step, LabelRole):
            return failures  # the pod is another one by now, and a later pass labels that
        return replace(failures, transient=failures.transient or error)

    async def _step(self, storage: Key, step: Step) -> None:
        match step:
            case WriteAuth():
                await self._write_auth(storage, step)
            case Apply() | Replace() | Write():
                await self._write(storage, step, step.resource, step.obj)
            case Share():
                await self._write(storage, step, SECRETS, step.obj)
            case Restart():
                await self._restart(step)
            case LabelRole(pod):
                await self._label_role(storage, step, pod)
            case Delete(resource, namespace, name, uid, keeps_dependents):
                await self._cluster.delete(resource, namespace, name, uid=uid, keeps_dependents=keeps_dependents)
                self._memory.settle(storage, step)
            case _:
                await self._instances.carry_out(step)

    async def _write(
        self, storage: Key, step: Apply | Replace | Write | Share | WriteAuth, resource: Resource, obj: Object
    ) -> None:
        before = self._caches[resource.plural].get(key_of(obj))
        if isinstance(step, Apply):
            answer = await self._cluster.apply(resource, obj, field_manager=names.FIELD_MANAGER)
        else:
            # Create, never apply: of two writers at once one must lose, or a storage would have two passwords.
            is_new = not isinstance(step, Replace) and "resourceVersion" not in obj["metadata"]
            answer = await (self._cluster.create if is_new else self._cluster.replace)(resource, obj)
        match step:
            case Apply():
                desired = step.obj
            case WriteAuth():
                own = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
                desired = {**obj, "metadata": own}
            case _:
                desired = step.desired
        self._memory.accept(storage, step, desired, before, answer)
        self._remember(resource, answer)

    async def _label_role(self, storage: Key, step: LabelRole, pod: Object) -> None:
        namespace, name = key_of(pod)
        try:
            manager = names.FIELD_MANAGER
            answer = await self._cluster.patch(PODS, namespace, name, step.operations, field_manager=manager)
        except errors.NotFound as error:
            # The pod is gone. If another one has its name by now, a later pass labels that.
            _log.info("could not label a pod by its role", extra={"pod": name, "error": str(error)})
        else:
            self._memory.accept_label(storage, step, answer)
            self._remember(PODS, answer)

    async def _restart(self, step: Restart) -> None:
        who = step.consumer
        resource, manager = _RESOURCES[who.kind], names.FIELD_MANAGER
        try:
            await self._cluster.patch(resource, who.namespace, who.name, step.operations, field_manager=manager)
        except (errors.Rejected, errors.Forbidden, errors.NotFound) as error:
            # A consumer that the API server lets nobody write must not hold up the others.
            _log.warning("could not restart a consumer", extra={"consumer": str(who), "error": str(error)})
            self._on_refusal(who, f"the API server refused to stamp it: {error}"[:MAX_REASON])

    async def _write_auth(self, storage: Key, step: WriteAuth) -> None:
        ring, needed = step.ring, identities.PASSWORD_KEYS
        current = {**{key: passwords.generate() for key in needed if key not in ring.current}, **ring.current}
        staged = dict(ring.staged)
        if step.is_staging:
            staged |= {key: passwords.generate() for key in needed if key not in ring.staged}
        ring = replace(ring, current=current, staged=staged)
        secret = secrets.auth_secret(step.storage, ring, step.record.annotations)
        if step.resource_version:
            secret["metadata"]["resourceVersion"] = step.resource_version
        await self._write(storage, step, SECRETS, secret)

    def _remember(self, resource: Resource, obj: Object) -> None:
        self._caches[resource.plural].remember(obj)
