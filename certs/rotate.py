"""Decides the next step towards certificates that every API server trusts. Pure.

Two Secrets hold the state. The CA Secret is the reconciler's alone; the serving Secret is what webhook pods read.
The order is always authority, bundle, leaf, one stage at a time, each on the evidence of the one before: a webhook
pod that serves a leaf is trusted already.

    BOOTSTRAP  the authority is absent or unusable: make one, publish it, sign a leaf
    STABLE     all three agree: renew the leaf at two thirds of its life, restore what anybody changed
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from certs import check
from certs.check import Problem
from certs.pem import KEY_BUNDLE, Pair, bundle_pem, encoded, entry, pair_of
from shared.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

    from shared.resources import Object, Resource


@dataclass(frozen=True, slots=True)
class WebhookConfiguration:
    """Which webhook configuration: its kind and its name."""

    resource: Resource
    name: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What is in the cluster.

    Attributes:
        authority: The CA Secret.
        serving: The serving Secret.
        configurations: The webhook configurations that exist; one that does not exist yet holds nothing up.
    """

    authority: Object | None = field(repr=False)
    serving: Object | None = field(repr=False)
    configurations: Mapping[WebhookConfiguration, Object]


@dataclass(frozen=True, slots=True)
class IssueAuthority:
    """Make a new authority and store it in the CA Secret."""

    reasons: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class PublishBundle:
    """Let the API server trust the authorities, for every webhook of one configuration."""

    configuration: WebhookConfiguration
    webhooks: tuple[str, ...]
    bundle: bytes


@dataclass(frozen=True, slots=True)
class IssueServing:
    """Sign a new leaf and store it in the serving Secret, beside the bundle."""

    authority: Pair
    bundle: bytes
    reasons: tuple[Problem, ...]


Action: TypeAlias = IssueAuthority | PublishBundle | IssueServing


def plan(observed: Observed, names: Sequence[str], now: datetime) -> tuple[Action, ...]:
    """Decide what to do next; nothing once everything is as it should be.

    Args:
        observed: What is in the cluster.
        names: DNS names of the webhook.
        now: Aware instant.

    Returns:
        The actions of one stage. Look again when they are done.
    """
    authority = _authority(observed.authority, now)
    if not isinstance(authority, Pair):
        return (IssueAuthority(authority),)
    trusted = (authority.certificate,)
    bundle = bundle_pem(trusted)
    publications = _publications(observed.configurations, bundle)
    if publications:
        return publications
    reasons = _serving_reasons(observed.serving, trusted, names, now)
    return (IssueServing(authority, bundle, reasons),) if reasons else ()


def _authority(secret: Object | None, now: datetime) -> Pair | tuple[Problem, ...]:
    problems = check.authority_problems(secret, now)
    if problems or secret is None:
        return problems
    pair = pair_of(secret)
    # Four months before its end: a leaf never has to be cut short.
    return (Problem.RENEWAL_DUE,) if check.needs_renewal(pair.certificate, now) else pair


def _publications(configurations: Mapping[WebhookConfiguration, Object], bundle: bytes) -> tuple[PublishBundle, ...]:
    wanted = encoded(bundle)
    return tuple(
        PublishBundle(configuration, tuple(webhook["name"] for webhook in obj["webhooks"]), bundle)
        for configuration, obj in configurations.items()
        if any(webhook["clientConfig"].get("caBundle") != wanted for webhook in obj.get("webhooks") or ())
    )


def _serving_reasons(
    secret: Object | None, trusted: Sequence[x509.Certificate], names: Sequence[str], now: datetime
) -> tuple[Problem, ...]:
    problems = check.serving_problems(secret, trusted, names, now)
    if problems or secret is None:
        return problems
    reasons = []
    if check.needs_renewal(pair_of(secret).certificate, now):
        reasons.append(Problem.RENEWAL_DUE)
    if not _carries(secret, bundle_pem(trusted)):
        reasons.append(Problem.STALE_BUNDLE)
    return tuple(reasons)


def _carries(secret: Object, bundle: bytes) -> bool:
    try:
        return entry(secret, KEY_BUNDLE) == bundle
    except CertificateError:
        return False
