"""Builds the StatefulSet that runs one Valkey instance. Pure.

Each instance has a StatefulSet of its own: Kubernetes restarts an instance without the reconciler, templates may differ
during a rolling update, and even a storage with one instance can get a second one for the time of a switchover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifests.pod_template import pod_template, selector_of
from reconciler.manifests.valkey_pods import DEFAULT_PODS
from shared import names
from shared.objects import quantities

if TYPE_CHECKING:
    from reconciler.manifests.instance_spec import Image, InstanceSpec
    from reconciler.manifests.storage import Storage
    from reconciler.manifests.valkey_pods import ValkeyPods
    from shared.objects.resources import Object


def stateful_set(storage: Storage, instance: InstanceSpec, image: Image, pods: ValkeyPods = DEFAULT_PODS) -> Object:
    """Build the StatefulSet of one instance.

    A label holds the size: by it the reconciler tells instances of another size apart, whose volumes cannot change in
    place.
    """
    metadata = storage.metadata(names.valkey_instance(storage.name, instance.index))
    spec: Object = {
        "replicas": 1,
        "serviceName": names.valkey_headless(storage.name),
        # OrderedReady would keep a pod of a faulty revision for ever, even once somebody has corrected the revision
        # (Kubernetes, "StatefulSets: forced rollback").
        "podManagementPolicy": "Parallel",
        # A pod may be replaced once another instance has taken over from it, which only the reconciler can arrange.
        "updateStrategy": {"type": "OnDelete"},
        "selector": {"matchLabels": selector_of(instance)},
        "template": pod_template(storage, instance, image, pods),
    }
    if instance.disk_gib:
        spec["volumeClaimTemplates"] = [_claim(storage, instance)]
    return {"metadata": metadata | {"labels": metadata["labels"] | {names.LABEL_SIZE: instance.size}}, "spec": spec}


def _claim(storage: Storage, instance: InstanceSpec) -> Object:
    # Data belongs to the storage: it goes with the storage, and stays when only the StatefulSet is deleted. The
    # StatefulSet's own retention policy would delete the data in both cases, and delays each first start by two
    # seconds, because it changes a claim that the scheduler is about to bind.
    inherited = storage.inherited_by("data")
    return {
        "metadata": {**inherited, "ownerReferences": [storage.reference]},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": quantities.disk(instance.disk_gib)}},
            **({"storageClassName": instance.storage_class} if instance.storage_class else {}),
        },
    }
