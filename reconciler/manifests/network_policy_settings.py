"""What a platform team adds to the NetworkPolicies of storages. Pure.

The types follow Kubernetes' `networking.k8s.io/v1`, because the reconciler compares peers and ports whole: a default
that the API server fills in, such as the protocol, must be in what it compares with.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.objects.structured_setting import StructuredSetting


class LabelRequirement(StructuredSetting):
    """What a label must be."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(StructuredSetting):
    """Which objects, by their labels; an empty one selects all."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[LabelRequirement, ...] = ()


class IpBlock(StructuredSetting):
    """Addresses."""

    cidr: str
    excluded: Annotated[tuple[str, ...], Field(alias="except")] = ()


class Peer(StructuredSetting):
    """Pods, those of other namespaces, or addresses."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IpBlock | None = None


class Port(StructuredSetting):
    """A port, or a range of ports."""

    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    port: int | str | None = None
    end_port: int | None = None


class IngressRule(StructuredSetting):
    """Who may connect, and to which ports."""

    peers: Annotated[tuple[Peer, ...], Field(alias="from")] = ()
    ports: tuple[Port, ...] = ()


class EgressRule(StructuredSetting):
    """Where to Valkey's pods may connect, and to which ports."""

    peers: Annotated[tuple[Peer, ...], Field(alias="to")] = ()
    ports: tuple[Port, ...] = ()


class NetworkPolicySettings(StructuredSetting):
    """What a platform team says of the NetworkPolicies of storages.

    Attributes:
        enabled: Whether storages have one.
        extra_ingress: Further rules of who may connect to Valkey's pods.
        extra_egress: Further rules of where to these may connect.
    """

    enabled: bool = True
    extra_ingress: tuple[IngressRule, ...] = ()
    extra_egress: tuple[EgressRule, ...] = ()
