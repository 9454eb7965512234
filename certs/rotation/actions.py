"""What the certificates' keeper sees, plans and does, as data. Pure."""

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
class Terms:
    """What the installation asks for.

    Attributes:
        names: DNS names of the webhook, that which API servers use first.
        lifetimes: How long certificates live, and how long to wait between steps.
    """

    names: tuple[str, ...]
    lifetimes: Lifetimes

    @property
    def called(self) -> tuple[str, ...]:
        """What API servers call the webhook: all that a certificate of somebody else's has to be good for."""
        return self.names[:1]


@dataclass(frozen=True, slots=True)
class Observed:
    """What is in the cluster.

    Attributes:
        authority: The CA Secret.
        serving: The serving Secret.
        configurations: The webhook configurations that exist; one that does not exist yet holds nothing up.
        pods: What each ready pod of the webhook was seen to serve, by name; None if it could not be seen. A pod that
            is not ready is no endpoint of the Service, so nobody is sent to it; before it is ready again, it reads the
            serving Secret.
    """

    authority: Object | None = field(repr=False)
    serving: Object | None = field(repr=False)
    configurations: Mapping[WebhookConfiguration, Object]
    pods: Mapping[str, x509.Certificate | None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is true now; the keeper measures since when. None: it is not.

    Attributes:
        trust: Every configuration holds the bundle. Says which bundle, and which versions of the configurations.
        service: Every ready pod serves a leaf of the current authority. Says which authority, and which pods.
    """

    trust: Hashable | None = None
    service: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Lasted:
    """For how long each part of the evidence has been true without a break; both begin anew with each process."""

    trust: timedelta = AT_ONCE
    service: timedelta = AT_ONCE


@dataclass(frozen=True, slots=True)
class IssueAuthority:
    """Make an authority and store it: as the one that signs, or as the successor of one that does.

    Attributes:
        reasons: Why.
        predecessor: What the CA Secret holds, if that can sign.
        retired: Without a predecessor: whom API servers trust now.
        handled: The wish for a rotation that this fulfils.
    """

    reasons: tuple[Problem, ...]
    predecessor: Authorities | None = None
    retired: tuple[x509.Certificate, ...] = ()
    handled: str = ""


@dataclass(frozen=True, slots=True)
class StoreAuthorities:
    """Write the CA Secret anew, without making a key.

    Attributes:
        authorities: What it is to hold.
        phase: Which phase begins with that.
    """

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
    """Write the bundle beside the leaf, which stays."""

    bundle: bytes


Action: TypeAlias = IssueAuthority | StoreAuthorities | PublishBundle | IssueServing | StoreBundle


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next.

    Attributes:
        phase: Where the rotation is.
        actions: Those of one step; none once nothing can be done yet. Look again when they are done.
        wait: How long nothing will be due, if nothing changes.
        others: Ready pods that were not seen to serve what they should.
    """

    phase: Phase
    actions: tuple[Action, ...] = ()
    wait: timedelta = AT_ONCE
    others: tuple[str, ...] = ()

    @property
    def held_up_by(self) -> tuple[str, ...]:
        """The pods that this waits for."""
        return self.others if self.phase is Phase.RETIRE else ()
