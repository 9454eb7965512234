"""The Service that sends clients to a storage's primary, and the EndpointSlices that say where that is. Pure.

The Service has no selector, so clients get where the reconciler writes: to the instance that the first EndpointSlice
names. That one is the primary, whatever instances consider themselves to be.

    Service         its annotation holds the claim: before a process changes the primary, it writes there what it is
                    about to do, and loses if another process wrote first
    EndpointSlice   its label names the primary, its endpoint is where that is, and its annotation holds the record of
                    the last change; one write changes all three, and loses if anybody has written since the plan

The record with the higher epoch counts. A process that takes a claim away from another one writes the EndpointSlice
first, so the other one can no longer move clients. So of two processes that both consider themselves the leader, only
one does.

The claim is not in the EndpointSlice, because kube-proxy counts any write of one as a change, and then takes no other
one for its minimum time between updates, a second by default (Kubernetes 1.36, `pkg/proxy/endpointslicecache.go`,
`esDataChanged`, and `pkg/proxy/runner`). It ignores a Service's annotations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from reconciler.state import pod_status
from reconciler.state.primary_record import PrimaryRecord
from shared import names
from shared.objects.resources import is_terminating, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.state.instance import Instance
    from shared.objects.resources import Key, Object

SERVICE_OF: Final = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service that it belongs to (Kubernetes, "EndpointSlices: ownership")."""
WRITTEN_BY: Final = "endpointslice.kubernetes.io/managed-by"
"""Label of an EndpointSlice: who writes it; Kubernetes' own controllers leave it alone then."""
HEADLESS: Final = "service.kubernetes.io/headless"
"""Label that Kubernetes' controller puts on the EndpointSlices of headless Services."""
IPV4: Final = "IPv4"
IPV6: Final = "IPv6"


@dataclass(frozen=True, slots=True)
class PrimaryService:
    """The Service that sends clients to a storage's primary, in the version that the observer saw.

    Attributes:
        manifest: The Service; its `resourceVersion` lets only one of two writers claim a change.
        slices: The reconciler's EndpointSlices of it, by IP family; the first family's decides who is primary.
        primary: Number of the instance that clients get to; None if nothing names one.
        record: The change of the primary that a process has claimed, or else the last one.
        last_change: The last change of the primary that a process has finished.
    """

    manifest: Object = field(repr=False)
    slices: Mapping[str, Object] = field(repr=False)
    primary: int | None
    record: PrimaryRecord
    last_change: PrimaryRecord

    @classmethod
    def of(cls, service: Object, slices: Iterable[Object] = ()) -> Self:
        """Read a Service and those EndpointSlices of it that the reconciler writes."""
        by_family = {each["addressType"]: each for each in slices}
        main = by_family.get(families_of(service)[0])
        claim = PrimaryRecord.of(service)
        done = PrimaryRecord.of(main) if main is not None else claim
        # A release without EndpointSlices of its own, and one that was uninstalled, leave a selector.
        naming = (main["metadata"].get("labels") if main is not None else service["spec"].get("selector")) or {}
        number = str(naming.get(names.LABEL_INSTANCE, ""))
        primary = int(number) if number.isascii() and number.isdigit() else None
        record = claim if claim.epoch > done.epoch else done
        return cls(service, by_family, primary, record, done if record.is_under_way else record)

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        return key_of(self.manifest)

    @property
    def cluster_ip(self) -> str:
        """The address by which clients reach the primary; empty if the API server has given none."""
        return str(self.manifest["spec"].get("clusterIP", ""))

    @property
    def families(self) -> tuple[str, ...]:
        """The IP families for which it has an address, the first one first."""
        return families_of(self.manifest)

    @property
    def is_ours_to_point(self) -> bool:
        """Whether clients get where its EndpointSlices say, so that a write of these moves them."""
        return not self.manifest["spec"].get("selector") and self.slices.keys() >= set(self.families)

    def selecting(self) -> Object:
        """Build the Service so that Kubernetes leads clients to the instance that is primary now."""
        selector = {names.LABEL_STORAGE: self.manifest["metadata"]["labels"][names.LABEL_STORAGE]}
        selector[names.LABEL_INSTANCE] = str(self.primary)
        return {**self.manifest, "spec": {**self.manifest["spec"], "selector": selector}}

    def claimed(self, record: PrimaryRecord) -> Object:
        """Build the Service with the claim of a change; it sends clients where it sent them before."""
        return record.put_on(self.manifest)

    def withdrawn(self) -> Object:
        """Build the first EndpointSlice so that a claim which is under way counts no longer; clients stay."""
        return self.last_change.at(self.record.epoch + 1).put_on(self.slices[self.families[0]])

    def pointing_at(self, instance: Instance, record: PrimaryRecord) -> list[Object]:
        """Build the EndpointSlices that send clients to an instance, the first one with the record of that change."""
        main, *others = (self._pointing_at(instance, family) for family in self.families)
        return [record.put_on(main), *others]

    def _pointing_at(self, instance: Instance, family: str) -> Object:
        present = self.slices[family]
        labels = {**present["metadata"]["labels"], names.LABEL_INSTANCE: str(instance.index)}
        metadata = {**present["metadata"], "labels": labels}
        return {**present, "metadata": metadata, "endpoints": endpoints_at(instance, family)}


def families_of(service: Object) -> tuple[str, ...]:
    """List the IP families of a Service; that of its address if it does not say."""
    spec = service["spec"]
    return tuple(spec.get("ipFamilies") or (family_of(str(spec.get("clusterIP", ""))),))


def family_of(address: str) -> str:
    """Tell an address's IP family."""
    return IPV6 if ":" in address else IPV4


def endpoints_at(instance: Instance, family: str, *, is_held: bool = False) -> list[Object]:
    """Write where an instance takes clients; nowhere if its pod is gone or about to go, unless it is held meanwhile.

    Without an endpoint, kube-proxy refuses connections at once. Otherwise a client would dial an address behind which
    there is nothing, and give up only after a time-out of its own: 5 s with go-redis, which ToolHive uses.
    """
    pod = instance.pod
    address = next((each for each in pod_status.addresses(pod) if family_of(each) == family), "")
    if pod is None or not address or (is_terminating(pod) and not is_held):
        return []
    metadata = pod["metadata"]
    target = {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    # Ready at once: kubelet, which learns later than the reconciler that a primary serves, must not hide it.
    conditions = {"ready": True, "serving": True, "terminating": False}
    return [{"addresses": [address], "conditions": conditions, "targetRef": target}]


def is_written_here(endpoint_slice: Object) -> bool:
    """Tell whether the reconciler writes an EndpointSlice, and not one of Kubernetes' controllers."""
    return (endpoint_slice["metadata"].get("labels") or {}).get(WRITTEN_BY) == names.MANAGED_BY


def service_of(endpoint_slice: Object) -> Key | None:
    """Tell which Service an EndpointSlice belongs to; None if to none."""
    service = (endpoint_slice["metadata"].get("labels") or {}).get(SERVICE_OF)
    return (endpoint_slice["metadata"]["namespace"], service) if service else None
