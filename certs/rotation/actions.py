"""What the certificate controller observes, plans and does, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from certs.rotation.ca_bundles import PublishBundle

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from cryptography import x509

    from certs.pki.lifetimes import Lifetimes
    from certs.pki.pem import Pair
    from certs.pki.validation import Problem
    from certs.rotation.ca_bundles import WebhookConfiguration
    from certs.rotation.ca_secret import Authorities
    from shared.objects.resources import Object

AT_ONCE: Final = timedelta()


class Phase(StrEnum):
    """Where a rotation is."""

    BOOTSTRAP = "Bootstrap"
    STABLE = "Stable"
    TRUST_NEXT = "TrustNext"
    SWITCH = "Switch"
    RETIRE = "Retire"


@dataclass(frozen=True, slots=True)
class CertificateSpec:
    """Which certificates the installation wants: for which DNS names of the webhook, and how long they live."""

    dns_names: tuple[str, ...]
    lifetimes: Lifetimes

    @property
    def api_server_names(self) -> tuple[str, ...]:
        """The DNS name that API servers use, which another issuer's certificate must name too."""
        return self.dns_names[:1]


@dataclass(frozen=True, slots=True)
class Observed:
    """What is in the cluster.

    Attributes:
        authority: The CA Secret.
        serving: The serving Secret.
        configurations: The webhook configurations that exist; the planner does not wait for one that does not exist.
        pods: The leaf that each ready webhook pod serves, by name; None if the pod did not answer. The Service sends
            nobody to a pod that is not ready, and such a pod reads the serving Secret before it becomes ready.
    """

    authority: Object | None = field(repr=False)
    serving: Object | None = field(repr=False)
    configurations: Mapping[WebhookConfiguration, Object]
    pods: Mapping[str, x509.Certificate | None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the cluster proves now, or None; the controller measures how long each part stays the same.

    Attributes:
        published: Every configuration holds the bundle. Says which bundle, and which versions of the configurations.
        served: Every ready pod serves a leaf of the current authority. Says which authority, and which pods.
    """

    published: Hashable | None = None
    served: Hashable | None = None


@dataclass(frozen=True, slots=True)
class EvidenceAge:
    """For how long each part of the evidence has held without a break; a new process starts from zero."""

    published: timedelta = AT_ONCE
    served: timedelta = AT_ONCE


@dataclass(frozen=True, slots=True)
class IssueAuthority:
    """Create an authority and store it: as the one that signs, or as the successor of the one that signs.

    Attributes:
        predecessor: What the CA Secret holds, if its authority can sign.
        retired: Without a predecessor: the authorities that API servers trust now.
        handled_request: The request for a rotation that this action fulfils.
    """

    reasons: tuple[Problem, ...]
    predecessor: Authorities | None = None
    retired: tuple[x509.Certificate, ...] = ()
    handled_request: str = ""


@dataclass(frozen=True, slots=True)
class StoreAuthorities:
    """Write these authorities into the CA Secret without creating a key; this write starts the phase."""

    authorities: Authorities
    phase: Phase


@dataclass(frozen=True, slots=True)
class IssueServing:
    """Sign a new leaf and store it in the serving Secret, beside the bundle."""

    authority: Pair
    bundle: bytes
    reasons: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class StoreBundle:
    """Write the bundle into the serving Secret and leave its certificate as it is."""

    bundle: bytes


Action: TypeAlias = IssueAuthority | StoreAuthorities | PublishBundle | IssueServing | StoreBundle


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next.

    Attributes:
        phase: Where the rotation is.
        actions: The actions of one step, after which the controller plans again; none if there is nothing to do now.
        wait: For how long nothing will be due, if nothing changes.
        pods_behind: Ready pods that do not serve a leaf of the current authority yet, or did not answer.
    """

    phase: Phase
    actions: tuple[Action, ...] = ()
    wait: timedelta = AT_ONCE
    pods_behind: tuple[str, ...] = ()

    @property
    def waits_for_pods(self) -> tuple[str, ...]:
        """The pods that hold up the end of the rotation."""
        return self.pods_behind if self.phase is Phase.RETIRE else ()
