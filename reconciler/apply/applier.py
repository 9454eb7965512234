"""Carries out a plan: one idempotent step after the other, the status last. It never reads."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Apply, Delete, LabelRole, Replace, Restart, Share, Write, WriteAuth
from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.manifests import secrets
from shared import errors, names
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.objects.resources import PODS, SECRETS, SESSION_STORAGES, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.actions.plan import Plan, Step
    from reconciler.apply.instance_actions import InstanceActions
    from reconciler.runtime.event_recorder import EventRecorder
    from shared.consumers.identity import Consumer
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key

MAX_REASON: Final = 256
"""How many characters of the API server's answer a message repeats about one consumer."""
_RESOURCES: Final = {resource.kind: resource for resource in CONSUMER_RESOURCES}

_log = logging.getLogger(__name__)


class Applier:
    """Carries out plans, and lets the caches know at once what the API server answered."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Mapping[str, Informer],
        recorder: EventRecorder,
        on_refusal: Callable[[Consumer, str], None],
        instances: InstanceActions,
    ) -> None:
        """Take among others a callback, which gets each consumer that the API server refused to stamp, and why."""
        self._cluster = cluster
        self._caches = caches
        self._recorder = recorder
        self._on_refusal = on_refusal
        self._instances = instances

    async def apply(self, storage: Object, plan: Plan) -> None:
        """Carry out a plan.

        Raises:
            ClusterError: A write failed; what came before it stands, and the next plan goes on from there.
        """
        for step in plan.steps:
            await self.carry_out(step)
        if plan.status is not None:
            await self._status(storage, plan.status)
        for note in plan.events:
            await self._recorder.record(storage, note)

    def forget(self, storage: Key) -> None:
        """Drop what is remembered of a storage that is gone."""
        self._instances.forget(storage)

    async def carry_out(self, step: Step) -> None:
        """Carry out one step, or raise ClusterError."""
        match step:
            case WriteAuth():
                await self._write_auth(step)
            case Apply() | Replace() | Write():
                self._remember(step.resource, await self._write(step))
            case Share():
                await self._share(step)
            case Restart():
                await self._restart(step)
            case LabelRole(pod):
                await self._label_role(pod, step.operations)
            case Delete(resource, namespace, name, uid, keeps_dependents):
                await self._cluster.delete(resource, namespace, name, uid=uid, keeps_dependents=keeps_dependents)
            case _:
                await self._instances.carry_out(step)

    async def _write(self, step: Apply | Replace | Write) -> Object:
        if isinstance(step, Apply):
            return await self._cluster.apply(step.resource, step.obj, field_manager=names.FIELD_MANAGER)
        # Create, never apply: of two writers at once one must lose, or a storage would have two passwords.
        is_new = not isinstance(step, Replace) and "resourceVersion" not in step.obj["metadata"]
        return await (self._cluster.create if is_new else self._cluster.replace)(step.resource, step.obj)

    async def _label_role(self, pod: Object, operations: list[Object]) -> None:
        namespace, name = key_of(pod)
        try:
            answer = await self._cluster.patch(PODS, namespace, name, operations, field_manager=names.FIELD_MANAGER)
        except (errors.NotFound, errors.Rejected) as error:
            # The pod is gone. If another one has its name by now, a later pass labels that.
            _log.info("could not label a pod by its role", extra={"pod": name, "error": str(error)})
        else:
            self._remember(PODS, answer)

    async def _share(self, step: Share) -> None:
        try:
            self._remember(SECRETS, await self._write(Write(SECRETS, step.obj)))
        except (errors.NotFound, errors.Forbidden, errors.Rejected, errors.Conflict, errors.AlreadyExists) as error:
            # A terminating namespace refuses it; neither the storage nor other namespaces must depend on that.
            extra = {"secret": "/".join(key_of(step.obj)), "error": str(error)}
            _log.warning("could not copy the connection Secret", extra=extra)

    async def _restart(self, step: Restart) -> None:
        who = step.consumer
        resource, manager = _RESOURCES[who.kind], names.FIELD_MANAGER
        try:
            await self._cluster.patch(resource, who.namespace, who.name, step.operations, field_manager=manager)
        except (errors.Rejected, errors.Forbidden, errors.NotFound) as error:
            # A consumer that the API server lets nobody write must not hold up the others.
            _log.warning("could not restart a consumer", extra={"consumer": str(who), "error": str(error)})
            self._on_refusal(who, f"the API server refused to stamp it: {error}"[:MAX_REASON])

    async def _write_auth(self, step: WriteAuth) -> None:
        ring, needed = step.ring, identities.PASSWORD_KEYS
        current = {**{key: passwords.generate() for key in needed if key not in ring.current}, **ring.current}
        staged = dict(ring.staged)
        if step.is_staging:
            staged |= {key: passwords.generate() for key in needed if key not in ring.staged}
        ring = replace(ring, current=current, staged=staged)
        secret = secrets.auth_secret(step.storage, ring, step.record.annotations)
        if step.resource_version:
            secret["metadata"]["resourceVersion"] = step.resource_version
        self._remember(SECRETS, await self._write(Write(SECRETS, secret)))

    async def _status(self, storage: Object, status: Object) -> None:
        # The uid keeps the status of a deleted storage from going to a new one of the same name.
        metadata = {field: storage["metadata"][field] for field in ("name", "namespace", "uid")}
        body = {"metadata": metadata, "status": status}
        manager = names.FIELD_MANAGER_STATUS
        answer = await self._cluster.apply(SESSION_STORAGES, body, field_manager=manager, subresource="status")
        self._remember(SESSION_STORAGES, answer)

    def _remember(self, resource: Resource, obj: Object) -> None:
        self._caches[resource.plural].remember(obj)
