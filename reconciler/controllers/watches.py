"""The caches of everything that the reconciler watches, and which change wakes which controller."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reconciler.controllers.storage_queues import StorageQueues
from reconciler.controllers.toolhive import ToolHive
from reconciler.manifests.valkey_pods import DEFAULT_PODS, ValkeyPods
from reconciler.observe.caches import KEEPING
from reconciler.observe.heartbeat import Heartbeats
from reconciler.observe.pull_secrets import PullSecrets
from reconciler.observe.referenced_secrets import ReferencedSecrets
from reconciler.runtime.workqueue import WorkQueue
from reconciler.state.kubernetes_nodes import trimmed_node
from reconciler.state.owned_objects import CHILD_RESOURCES, parent_of, storage_of_secret
from reconciler.state.primary_service import HEADLESS
from shared import names
from shared.consumers import proxy_deployment
from shared.consumers.auth_server import storage_of_auth_server
from shared.consumers.identity import consumer_of
from shared.consumers.storage_connection import PROXIES_SUPPORTED
from shared.consumers.toolhive import PROXY_SELECTOR
from shared.consumers.usage_index import ConsumerIndex
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.index import Index
from shared.kubernetes.informer import Informer
from shared.kubernetes.keeping import Keeping, PackedObjects
from shared.kubernetes.namespaces import WHOLE_CLUSTER, WatchedNamespaces
from shared.objects.conditions import condition_of
from shared.objects.field_path import read
from shared.objects.resources import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NODES,
    PODS,
    SECRETS,
    SESSION_STORAGES,
    VOLUME_CLAIMS,
    Object,
    is_terminating,
    key_of,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from reconciler.observe.heartbeat import OnAnswer
    from shared.kubernetes.informer import OnChange
    from shared.objects.resources import Key


class Watches:
    """Watches the cluster, and queues the keys that a change matters to.

    Attributes:
        storage_queue: Keys of storages.
        consumer_queue: Identities of consumers.
        consumers: Knows who uses which storage.
        caches: Informers of SessionStorages and all that belongs to them, by the resource's plural.
        deployments: Informer of the Deployments of ToolHive's proxies.
        pull_secrets: The registry credentials that storages have copies of.
        referenced_secrets: The Secrets that external storages name; only the leader runs their watch.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespaces: WatchedNamespaces = WHOLE_CLUSTER,
        pods: ValkeyPods = DEFAULT_PODS,
        release_namespace: str = "",
        on_answer: OnAnswer = lambda *_: None,
    ) -> None:
        """Take what to watch, and whom to tell of instances' answers.

        Args:
            cluster: The API server.
            namespaces: Where to watch.
            pods: What the installation says of Valkey's pods.
            release_namespace: The namespace of the release's own Secrets.
            on_answer: Gets every answer of an instance to the heartbeat.
        """
        self.storages = namespaces.informer(
            cluster, SESSION_STORAGES, self._on_storage, keep=KEEPING[SESSION_STORAGES.plural]
        )
        self.storage_queue = StorageQueues(self.storages.get)
        self.consumer_queue, self.proxy_queue = WorkQueue(), WorkQueue()
        self.consumers = ConsumerIndex(self.storage_queue.add)
        self.toolhive = ToolHive(cluster, self._on_consumer, namespaces)
        self.heartbeats = Heartbeats(self.storage_queue.hasten, on_answer)
        self.deployments = namespaces.informer(
            cluster,
            DEPLOYMENTS,
            self._on_deployment,
            selector=Selector(labels=PROXY_SELECTOR),
            keep=Keeping(proxy_deployment.source_fields_of, PackedObjects),
        )
        kept = partial(trimmed_node, labels=pods.scheduling.node_labels)
        self.nodes = Informer(cluster, NODES, self._on_node, keep=Keeping(kept))
        self.pull_secrets = PullSecrets(cluster, release_namespace, pods.pull_sources, self._on_pull_secret)
        managed = Selector(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")
        # Kubernetes copies a Service's labels to its EndpointSlices; nobody needs those of the headless ones.
        with_address = Selector(labels=f"{managed.labels},!{HEADLESS}")
        handlers: dict[str, OnChange] = {SECRETS.plural: self._on_secret}
        children = {
            each.plural: namespaces.informer(
                cluster,
                each,
                handlers.get(each.plural, self._on_child),
                selector=with_address if each == ENDPOINT_SLICES else managed,
                keep=KEEPING[each.plural],
            )
            for each in CHILD_RESOURCES
        }
        self.caches = {
            **children,
            SESSION_STORAGES.plural: self.storages,
            PODS.plural: namespaces.informer(cluster, PODS, self._on_pod, selector=managed, keep=KEEPING[PODS.plural]),
            VOLUME_CLAIMS.plural: namespaces.informer(
                cluster, VOLUME_CLAIMS, selector=managed, keep=KEEPING[VOLUME_CLAIMS.plural]
            ),
        }
        self._pods_on = Index(self.caches[PODS.plural], _node_of)
        self.referenced_secrets = ReferencedSecrets(cluster, self.storage_queue.add, namespaces)

    def run(self) -> list[Coroutine[None, None, None]]:
        """Return the coroutines that keep the caches current."""
        return [
            *(informer.run() for informer in self.caches.values()),
            self.deployments.run(),
            self.nodes.run(),
            self.pull_secrets.run(),
            *self.toolhive.watches(),
        ]

    async def synced(self) -> None:
        """Wait until the caches hold everything that a decision depends on."""
        for cache in (*self.caches.values(), self.nodes):
            await cache.synced.wait()
        await self.pull_secrets.known()
        await self.toolhive.known()

    def missing(self) -> list[str]:
        """List the caches that have not got their first list yet, in words."""
        return [f"the first list of {plural}" for plural, cache in self.caches.items() if not cache.synced.is_set()]

    def queue_all(self) -> None:
        """Queue every key, as when this process begins to lead."""
        for key in self.storages.objects:
            self.storage_queue.add(key)
        for consumer in self.toolhive.consumers():
            self.consumer_queue.add(consumer_of(consumer))
        for key in self.deployments.objects:
            self.proxy_queue.add(key)

    def _on_storage(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        self.referenced_secrets.on_storage(old, new)
        # The reconciler's own writes of the status come back as changes, and are no news.
        if old is None or new is None or _what_users_change(old) != _what_users_change(new):
            self.storage_queue.add(key)
        if _what_consumers_see(old) != _what_consumers_see(new):
            for usage in self.consumers.usages(key):
                self.consumer_queue.add(usage.consumer)

    def _on_consumer(self, old: Object | None, new: Object | None) -> None:
        self.consumers.on_change(old, new)
        before, after = (storage_of_auth_server(obj or {}) for obj in (old, new))
        for storage in {before, after} if before != after else ():
            if storage is not None:
                self.storage_queue.add(storage)
        self.consumer_queue.add(consumer_of(new or old or {}))
        # ToolHive gives a proxy's Deployment the name of its consumer.
        self.proxy_queue.add(key_of(new or old or {}))

    def _on_deployment(self, old: Object | None, new: Object | None) -> None:
        self.proxy_queue.add(key_of(new or old or {}))

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        self.heartbeats.on_pod(old, new)
        storage = parent_of(new or old or {})
        if storage is not None and (new is None or is_terminating(new)):
            self.storage_queue.hasten(storage)
        self._on_child(old, new)

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _what_pods_see(old) == _what_pods_see(new):
            return  # kubelet writes the status of a node again and again
        node = (new or old or {})["metadata"]["name"]
        for pod in self._pods_on.get(("", node)):
            self._on_child(None, pod)

    def _on_secret(self, old: Object | None, new: Object | None) -> None:
        if storage := storage_of_secret(new or old or {}):
            self.storage_queue.add(storage)

    def _on_pull_secret(self) -> None:
        for storage in self.storages.objects:
            self.storage_queue.add(storage)

    def _on_child(self, old: Object | None, new: Object | None) -> None:
        if storage := parent_of(new or old or {}):
            self.storage_queue.add(storage)


def _node_of(pod: Object) -> Key | None:
    """Tell which node a pod is on, as the key of that node; None before it is on any."""
    node = read(pod, ("spec", "nodeName"))
    return ("", node) if isinstance(node, str) and node else None


def _what_pods_see(node: Object) -> tuple[object, ...]:
    """Pick what decides whether a node takes pods, of a trimmed node."""
    return node["spec"], node["metadata"].get("labels")


def _what_users_change(storage: Object) -> tuple[object, ...]:
    """Pick what users change of a storage."""
    metadata = storage["metadata"]
    return tuple(metadata.get(field) for field in ("uid", "generation", "deletionTimestamp", "annotations"))


def _what_consumers_see(storage: Object | None) -> tuple[object, ...]:
    """Pick what the consumers of a storage depend on."""
    if storage is None:
        return ()
    reason = (condition_of(storage, PROXIES_SUPPORTED) or {}).get("reason")
    return storage["metadata"]["uid"], storage.get("spec"), reason, read(storage, ("status", "endpoint"))
