"""Plays the StatefulSet controller and the kubelets of a cluster in memory, for the instances of one storage."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from reconciler.credentials import identities
from reconciler.manifests import valkey_config
from shared import names
from shared.objects.resources import CONFIG_MAPS, PODS, SECRETS, SESSION_STORAGES, STATEFUL_SETS, Key, Object, Resource
from shared.session_storage.sizes import DEFAULT_SIZE, PRESETS, Size
from tests.support.fakehistory import FakeHistory
from tests.support.fakevalkey import FakeInstance

if TYPE_CHECKING:
    from tests.support.fakes import FakeApi
    from tests.support.fakevalkey import FakeValkey


LONG_AGO: Final = "2026-01-01T00:00:00Z"
"""Since when pods are ready: no test is about how soon nodes learn of it."""


class Kubelets:
    """Gives each StatefulSet of a storage a pod, and each pod a server.

    Attributes:
        mounts: What each pod has mounted of the auth Secret, by the pod's name.
        are_late: Whether a pod keeps what it has mounted until `refresh`; otherwise `boot` refreshes it.
        homeless: Numbers of instances whose pods no node takes.
        numbers: Numbers of instances by their address; also of those that are gone.
    """

    def __init__(self, api: FakeApi, valkey: FakeValkey, storage: Key) -> None:
        self._api = api
        self._valkey = valkey
        self._namespace, self._storage = storage
        self._addresses = (f"10.1.0.{number}" for number in itertools.count(1))
        self.mounts: dict[str, dict[str, str]] = {}
        self.are_late = False
        self.homeless: set[int] = set()
        self.numbers: dict[str, int] = {}

    async def boot(self) -> None:
        """Give each set a pod, which reads the ACL file as it starts; pods without a set go."""
        wanted: dict[str, Object] = {}
        for (plural, namespace, name), workload in self._api.objects.items():
            template = workload.get("spec", {}).get("template") or {}
            labels = template.get("metadata", {}).get("labels", {})
            # ToolHive's sets have no instance; a real API server would have refused a set without a template.
            is_ours = namespace == self._namespace and names.instance_of(self._storage, name) is not None
            if plural == STATEFUL_SETS.plural and is_ours and names.LABEL_INSTANCE in labels:
                wanted[f"{name}-0"] = template
        for name, pod in list(self.pods.items()):
            has_room_now = "nodeName" not in pod["spec"] and _index(name) not in self.homeless
            if name not in wanted or has_room_now:
                await self._api.delete(PODS, self._namespace, name)
        self.mounts = {name: mounted for name, mounted in self.mounts.items() if name in self.pods}
        for name in [] if self.are_late else self.mounts:
            self.refresh(name)
        present = {pod["status"].get("podIP") for pod in self.pods.values()}
        self._valkey.instances = {
            address: instance for address, instance in self._valkey.instances.items() if address in present
        }
        config = (self._find(CONFIG_MAPS, names.valkey(self._storage)) or {}).get("data") or {}
        if valkey_config.UPSTREAM_FILE not in config:
            return  # pods wait for the ConfigMap that they mount
        for name in sorted(wanted.keys() - self.pods.keys()):
            await self._start(name, wanted[name])

    def refresh(self, pod: str) -> None:
        """Mount the auth Secret in a pod as it is now."""
        secret = self._find(SECRETS, names.auth_secret(self._storage)) or {}
        self.mounts[pod] = identities.decoded(secret.get("data"))

    @property
    def pods(self) -> dict[str, Object]:
        """Pods of Valkey instances, by name."""
        return {
            name: pod
            for (plural, namespace, name), pod in self._api.objects.items()
            if plural == PODS.plural
            and namespace == self._namespace
            and names.instance_of(self._storage, name.removesuffix("-0")) is not None
            and names.LABEL_INSTANCE in pod["metadata"].get("labels", {})
        }

    @property
    def running(self) -> dict[str, FakeInstance]:
        """The servers that run, by the name of their pod."""
        instances = self._valkey.instances
        found = ((name, pod["status"].get("podIP", "")) for name, pod in self.pods.items())
        return {name: instances[address] for name, address in found if address in instances}

    async def _start(self, name: str, template: Object) -> None:
        index, spec, status = _index(name), template.get("spec", {}), dict[str, Any](phase="Pending")
        if index not in self.homeless:
            address = next(self._addresses)
            self.refresh(name)
            self.numbers[address] = index
            file = self.mounts[name].get(names.KEY_USERS_ACL, "")
            fence = self._fence(template)
            self._valkey.instances[address] = FakeInstance(file, lambda disk: self._history(name, disk, fence))
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": LONG_AGO}
            status = {"phase": "Running", "podIP": address, "conditions": [ready]}
            spec = {**spec, "nodeName": f"host-{index}"}
        metadata = {"name": name, "namespace": self._namespace, **template["metadata"]}
        await self._api.create(PODS, {"metadata": metadata, "spec": spec, "status": status})

    def _history(self, pod: str, disk: set[str], fence: int) -> FakeHistory:
        """Start as the boot guard decides (`start_command`)."""
        index, auth = _index(pod), self.mounts[pod]
        config = (self._find(CONFIG_MAPS, names.valkey(self._storage)) or {}).get("data", {})
        is_alone = config.get(valkey_config.INSTANCES_FILE) == str(index)
        leads = config.get(valkey_config.PRIMARY_FILE) == str(index) and (is_alone or bool(disk))
        upstream = "" if leads else config[valkey_config.UPSTREAM_FILE]
        password = auth.get(identities.REPLICATION.key, "")
        return FakeHistory(disk, upstream=upstream, password=password, fence=0 if is_alone else fence)

    def _fence(self, template: Object) -> int:
        """Read what the command of a pod's template sets; a template that somebody spoilt has the size's default."""
        for container in template.get("spec", {}).get("containers") or []:
            return int("'min-replicas-to-write 1'" in container["command"][2])
        storage = self._find(SESSION_STORAGES, self._storage) or {}
        return PRESETS[Size(storage.get("spec", {}).get("size") or DEFAULT_SIZE)].fence

    def _find(self, resource: Resource, name: str) -> Object | None:
        return self._api.objects.get((resource.plural, self._namespace, name))


def _index(pod: str) -> int:
    return names.instance_index(pod.removesuffix("-0"))
