"""Decides the next step towards certificates that every API server trusts. Pure.

Only the reconciler reads the CA Secret; webhook pods read the serving Secret; each webhook configuration names the
authorities that API servers trust. These objects hold all state. Every step needs evidence that the step before took
effect, can be repeated, and may be the last that a process takes.

    BOOTSTRAP   an object is absent or unusable: create an authority, publish it, sign a leaf
    STABLE      all objects agree: renew the leaf in time, restore what anybody changed
    TRUST_NEXT  the CA Secret and every bundle hold a successor; the predecessor signed the leaf
    SWITCH      the successor signs, after API servers have trusted it for the dwell
    RETIRE      pods load the new leaf; the predecessor leaves the bundles when all pods serve that leaf

Two rules make it safe to begin in any state. An authority that API servers may not know yet signs no leaf, as long as
pods serve one that API servers trust. And no authority leaves the bundles while a pod may serve what it signed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from certs.pki import validation
from certs.pki.pem import KEY_BUNDLE, entry, pair_of, readable_pair
from certs.pki.validation import Problem
from certs.rotation import ca_bundles, ca_secret
from certs.rotation.actions import Evidence, IssueAuthority, IssueServing, Phase, Plan, StoreAuthorities, StoreBundle
from shared.errors import CertificateError
from shared.names import ANNOTATION_ROTATE_CERTIFICATES

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certs.rotation.actions import Action, CertificateSpec, EvidenceAge, Observed
    from certs.rotation.ca_secret import Authorities, StoredAuthorities
    from shared.objects.resources import Object


def evidence(observed: Observed, spec: CertificateSpec, now: datetime) -> Evidence:
    """Collect the evidence for the next step that the cluster gives now."""
    authorities = ca_secret.read(observed.authority, now).usable
    if authorities is None:
        return Evidence()
    is_published = not ca_bundles.publications(
        observed.configurations, _authorities_to_trust(authorities, observed, now)
    )
    versions = frozenset(
        (configuration, obj.get("metadata", {}).get("resourceVersion"))
        for configuration, obj in observed.configurations.items()
    )
    is_served = not _pods_behind(observed, authorities, spec, now)
    return Evidence(
        (authorities.bundle, versions) if is_published else None,
        (authorities.current.certificate, frozenset(observed.pods)) if is_served else None,
    )


def plan(observed: Observed, spec: CertificateSpec, age: EvidenceAge, now: datetime) -> Plan:
    """Decide what to do next.

    Args:
        observed: What is in the cluster.
        spec: Which certificates the installation wants.
        age: For how long the evidence has held.
        now: Aware instant.
    """
    stored = ca_secret.read(observed.authority, now)
    if stored.usable is None:
        return Plan(
            Phase.BOOTSTRAP, (_replace_lost_authority(stored, observed, now),), pods_behind=tuple(sorted(observed.pods))
        )
    step = _next_step(stored.usable, observed, spec, age, now)
    return replace(step, pods_behind=_pods_behind(observed, stored.usable, spec, now))


def _next_step(
    authorities: Authorities, observed: Observed, spec: CertificateSpec, age: EvidenceAge, now: datetime
) -> Plan:
    if unknown := _unknown_authorities_in_use(authorities, observed, spec, now):
        adopted = replace(authorities, retired=(*authorities.retired, *unknown))
        return Plan(Phase.SWITCH, (StoreAuthorities(adopted, Phase.SWITCH),))
    if publications := ca_bundles.publications(
        observed.configurations, _authorities_to_trust(authorities, observed, now)
    ):
        return Plan(_current_phase(authorities, observed.serving, spec, now), publications)
    return _serving_step(authorities, observed, spec, age, now) or _next_phase(authorities, observed, spec, age, now)


def _authorities_to_trust(authorities: Authorities, observed: Observed, now: datetime) -> tuple[x509.Certificate, ...]:
    """List the authorities to publish: our own, and those published before until every ready pod has answered a probe.

    A leader that has just started does not know yet which pod serves a leaf of which authority.
    """
    if None not in observed.pods.values():
        return authorities.trusted
    return tuple(dict.fromkeys([*authorities.trusted, *ca_bundles.trusted_now(observed.configurations, now)]))


def _pods_behind(observed: Observed, authorities: Authorities, spec: CertificateSpec, now: datetime) -> tuple[str, ...]:
    """List the ready pods that do not serve a leaf of the current authority, or did not answer."""
    return tuple(
        name
        for name, leaf in sorted(observed.pods.items())
        if leaf is None
        or not validation.is_trusted(leaf, (authorities.current.certificate,), spec.api_server_names, now)
    )


def _serving_step(
    authorities: Authorities, observed: Observed, spec: CertificateSpec, age: EvidenceAge, now: datetime
) -> Plan | None:
    """Correct the serving Secret, if it needs that."""
    phase = _current_phase(authorities, observed.serving, spec, now)
    if reasons := _serving_reasons(authorities, observed.serving, spec, now):
        if (
            authorities.retired
            and age.published < spec.lifetimes.dwell
            and _serves_trusted_leaf(authorities, observed, spec, now)
        ):
            return Plan(phase, wait=spec.lifetimes.dwell - age.published)
        return Plan(phase, (IssueServing(authorities.current, authorities.bundle, reasons),))
    if not _has_bundle(observed.serving, authorities.bundle):
        return Plan(phase, (StoreBundle(authorities.bundle),))
    return None


def _next_phase(
    authorities: Authorities, observed: Observed, spec: CertificateSpec, age: EvidenceAge, now: datetime
) -> Plan:
    """End a phase whose evidence is old enough, or say for how long to wait."""
    dwell = spec.lifetimes.dwell
    if authorities.next:
        if age.published >= dwell:
            return Plan(Phase.TRUST_NEXT, (StoreAuthorities(authorities.promoted(authorities.next), Phase.SWITCH),))
        return Plan(Phase.TRUST_NEXT, wait=dwell - age.published)
    if authorities.retired:
        if not _pods_behind(observed, authorities, spec, now) and age.served >= dwell:
            return Plan(Phase.RETIRE, (StoreAuthorities(replace(authorities, retired=()), Phase.STABLE),))
        return Plan(Phase.RETIRE, wait=dwell - age.served)
    request = _rotation_request(observed.serving)
    due = spec.lifetimes.due(authorities.current.certificate)
    if now >= due or request not in {"", authorities.handled_request}:
        reason = Problem.RENEWAL_DUE if now >= due else Problem.REQUESTED
        return Plan(
            Phase.STABLE,
            (
                IssueAuthority(
                    (reason,), predecessor=authorities, handled_request=request or authorities.handled_request
                ),
            ),
        )
    return Plan(Phase.STABLE, wait=min(due, _serving_due(observed.serving, spec)) - now)


def _replace_lost_authority(stored: StoredAuthorities, observed: Observed, now: datetime) -> Action:
    """Replace a lost authority; API servers keep trusting what pods may serve."""
    trusted = ca_bundles.trusted_now(observed.configurations, now)
    if stored.next:
        retired = tuple(certificate for certificate in trusted if certificate != stored.next.certificate)
        return StoreAuthorities(ca_secret.Authorities(stored.next, None, retired, stored.handled_request), Phase.SWITCH)
    return IssueAuthority(
        stored.problems, retired=trusted, handled_request=_rotation_request(observed.serving) or stored.handled_request
    )


def _unknown_authorities_in_use(
    authorities: Authorities, observed: Observed, spec: CertificateSpec, now: datetime
) -> tuple[x509.Certificate, ...]:
    """List authorities that the CA Secret does not hold, as after a restored backup, and whose leaves pods serve.

    Only those that API servers trust already: neither a Secret nor a pod can make API servers trust an authority.
    """
    pair = readable_pair(observed.serving)
    leaves = {leaf for leaf in observed.pods.values() if leaf} | ({pair.certificate} if pair else set())
    orphans = [
        leaf for leaf in leaves if not validation.is_trusted(leaf, authorities.trusted, spec.api_server_names, now)
    ]
    return tuple(
        authority
        for authority in ca_bundles.trusted_now(observed.configurations, now)
        if authority not in authorities.trusted
        and any(validation.is_trusted(leaf, (authority,), spec.api_server_names, now) for leaf in orphans)
    )


def _current_phase(authorities: Authorities, serving: Object | None, spec: CertificateSpec, now: datetime) -> Phase:
    if authorities.next:
        return Phase.TRUST_NEXT
    problems = validation.serving_problems(serving, (authorities.current.certificate,), spec.dns_names, now)
    if authorities.retired:
        return Phase.SWITCH if problems else Phase.RETIRE
    return Phase.BOOTSTRAP if problems else Phase.STABLE


def _serving_reasons(
    authorities: Authorities, secret: Object | None, spec: CertificateSpec, now: datetime
) -> tuple[Problem, ...]:
    problems = validation.serving_problems(secret, (authorities.current.certificate,), spec.dns_names, now)
    if problems:
        return problems
    return (Problem.RENEWAL_DUE,) if now >= _serving_due(secret, spec) else ()


def _serving_due(secret: Object | None, spec: CertificateSpec) -> datetime:
    return spec.lifetimes.due(pair_of(secret or {}).certificate)


def _serves_trusted_leaf(authorities: Authorities, observed: Observed, spec: CertificateSpec, now: datetime) -> bool:
    """Tell whether a ready pod serves, or may serve, a leaf that API servers trust: an early switch would break it.

    A leaf that is not valid yet means that our clock is slow, not that API servers refuse it.
    """
    return any(
        leaf is None
        or validation.is_trusted(leaf, authorities.trusted, spec.api_server_names, max(now, leaf.not_valid_before_utc))
        for leaf in observed.pods.values()
    )


def _has_bundle(secret: Object | None, bundle: bytes) -> bool:
    try:
        return entry(secret or {}, KEY_BUNDLE) == bundle
    except CertificateError:
        return False


def _rotation_request(secret: Object | None) -> str:
    """Read the annotation on the serving Secret by which somebody asks for a rotation."""
    annotations = (secret or {}).get("metadata", {}).get("annotations") or {}
    request: str = annotations.get(ANNOTATION_ROTATE_CERTIFICATES, "")
    return request
