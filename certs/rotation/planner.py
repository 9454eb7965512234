"""Decides the next step towards certificates that every API server trusts. Pure.

The CA Secret is the reconciler's alone; the serving Secret is what webhook pods read; each webhook configuration says
whom API servers trust. All state is in these objects. Every step rests on the evidence of the one before, can be
repeated, and may be the last of a process.

    BOOTSTRAP   something is absent or unusable: make an authority, have it trusted, sign a leaf
    STABLE      all agree: renew the leaf in time, restore what anybody changed
    TRUST_NEXT  a successor is at hand and in every bundle; the leaf is still its predecessor's
    SWITCH      the successor signs: it has been trusted everywhere for a while
    RETIRE      pods take the new leaf up; the predecessor goes when all of them are seen to serve it

Two rules make it safe to begin anywhere. No leaf is signed by an authority that API servers may not know yet, as long
as pods serve another that they do know. And no authority leaves the bundles while a pod may serve what it signed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from certs.pki import validation
from certs.pki.pem import KEY_BUNDLE, entry, pair_of
from certs.pki.validation import Problem
from certs.rotation import ca_bundles, ca_secret
from certs.rotation.actions import Evidence, IssueAuthority, IssueServing, Phase, Plan, StoreAuthorities, StoreBundle
from shared.errors import CertificateError
from shared.names import ANNOTATION_ROTATE_CERTIFICATES

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certs.rotation.actions import Action, Lasted, Observed, Terms
    from certs.rotation.ca_secret import Authorities, Held
    from shared.objects.resources import Object


def evidence(observed: Observed, terms: Terms, now: datetime) -> Evidence:
    """Tell what of the evidence that steps rest on is there now."""
    held = ca_secret.read(observed.authority, now).authorities
    if held is None:
        return Evidence()
    is_published = not ca_bundles.publications(observed.configurations, _to_trust(held, observed, now))
    versions = frozenset(
        (configuration, obj.get("metadata", {}).get("resourceVersion"))
        for configuration, obj in observed.configurations.items()
    )
    is_served = not _others(observed, held, terms, now)
    return Evidence(
        (held.bundle, versions) if is_published else None,
        (held.current.certificate, frozenset(observed.pods)) if is_served else None,
    )


def plan(observed: Observed, terms: Terms, lasted: Lasted, now: datetime) -> Plan:
    """Decide what to do next.

    Args:
        observed: What is in the cluster.
        terms: What the installation asks for.
        lasted: For how long the evidence has been there.
        now: Aware instant.
    """
    held = ca_secret.read(observed.authority, now)
    if held.authorities is None:
        return Plan(Phase.BOOTSTRAP, (_replacement(held, observed, now),), others=tuple(sorted(observed.pods)))
    step = _step(held.authorities, observed, terms, lasted, now)
    return replace(step, others=_others(observed, held.authorities, terms, now))


def _step(known: Authorities, observed: Observed, terms: Terms, lasted: Lasted, now: datetime) -> Plan:
    if strangers := _worth_keeping(known, observed, terms, now):
        adopted = replace(known, retired=(*known.retired, *strangers))
        return Plan(Phase.SWITCH, (StoreAuthorities(adopted, Phase.SWITCH),))
    if publications := ca_bundles.publications(observed.configurations, _to_trust(known, observed, now)):
        return Plan(_phase(known, observed.serving, terms, now), publications)
    return _serving_step(known, observed, terms, lasted, now) or _next_phase(known, observed, terms, lasted, now)


def _to_trust(known: Authorities, observed: Observed, now: datetime) -> tuple[x509.Certificate, ...]:
    """List whom API servers are to trust: our authorities, and others only until every ready pod has been seen.

    A leader that has just begun, after others had made the certificates, does not know yet who relies on whom.
    """
    if None not in observed.pods.values():
        return known.trusted
    return tuple(dict.fromkeys([*known.trusted, *ca_bundles.trusted_now(observed.configurations, now)]))


def _others(observed: Observed, known: Authorities, terms: Terms, now: datetime) -> tuple[str, ...]:
    """List the ready pods that were not seen to serve a leaf of the current authority."""
    return tuple(
        name
        for name, leaf in sorted(observed.pods.items())
        if leaf is None or not validation.is_vouched_for(leaf, (known.current.certificate,), terms.called, now)
    )


def _serving_step(known: Authorities, observed: Observed, terms: Terms, lasted: Lasted, now: datetime) -> Plan | None:
    """Put the serving Secret right, if it is not."""
    phase = _phase(known, observed.serving, terms, now)
    if reasons := _serving_reasons(known, observed.serving, terms, now):
        if known.retired and lasted.trust < terms.lifetimes.dwell and _is_served(known, observed, terms, now):
            return Plan(phase, wait=terms.lifetimes.dwell - lasted.trust)
        return Plan(phase, (IssueServing(known.current, known.bundle, reasons),))
    if not _carries(observed.serving, known.bundle):
        return Plan(phase, (StoreBundle(known.bundle),))
    return None


def _next_phase(known: Authorities, observed: Observed, terms: Terms, lasted: Lasted, now: datetime) -> Plan:
    """Leave a phase whose invariant holds, or say what it waits for."""
    dwell = terms.lifetimes.dwell
    if known.next:
        if lasted.trust >= dwell:
            return Plan(Phase.TRUST_NEXT, (StoreAuthorities(known.promoted(known.next), Phase.SWITCH),))
        return Plan(Phase.TRUST_NEXT, wait=dwell - lasted.trust)
    if known.retired:
        if not _others(observed, known, terms, now) and lasted.service >= dwell:
            return Plan(Phase.RETIRE, (StoreAuthorities(replace(known, retired=()), Phase.STABLE),))
        return Plan(Phase.RETIRE, wait=dwell - lasted.service)
    wish = _wish(observed.serving)
    due = terms.lifetimes.due(known.current.certificate)
    if now >= due or wish not in {"", known.handled}:
        reason = Problem.RENEWAL_DUE if now >= due else Problem.REQUESTED
        return Plan(Phase.STABLE, (IssueAuthority((reason,), predecessor=known, handled=wish or known.handled),))
    return Plan(Phase.STABLE, wait=min(due, _serving_due(observed.serving, terms)) - now)


def _replacement(held: Held, observed: Observed, now: datetime) -> Action:
    """Replace an authority that is lost, without taking trust from what pods may serve."""
    trusted = ca_bundles.trusted_now(observed.configurations, now)
    if held.next:
        retired = tuple(certificate for certificate in trusted if certificate != held.next.certificate)
        return StoreAuthorities(ca_secret.Authorities(held.next, None, retired, held.handled), Phase.SWITCH)
    return IssueAuthority(held.problems, retired=trusted, handled=_wish(observed.serving) or held.handled)


def _worth_keeping(known: Authorities, observed: Observed, terms: Terms, now: datetime) -> tuple[x509.Certificate, ...]:
    """List authorities that the CA Secret does not know of, as after a restored backup, and that pods rely on.

    Only such as API servers trust already: nobody becomes trusted by what a Secret or a pod says.
    """
    leaves = {leaf for leaf in observed.pods.values() if leaf} | _leaf(observed.serving)
    orphans = [leaf for leaf in leaves if not validation.is_vouched_for(leaf, known.trusted, terms.called, now)]
    return tuple(
        authority
        for authority in ca_bundles.trusted_now(observed.configurations, now)
        if authority not in known.trusted
        and any(validation.is_vouched_for(leaf, (authority,), terms.called, now) for leaf in orphans)
    )


def _phase(known: Authorities, serving: Object | None, terms: Terms, now: datetime) -> Phase:
    if known.next:
        return Phase.TRUST_NEXT
    problems = validation.serving_problems(serving, (known.current.certificate,), terms.names, now)
    if known.retired:
        return Phase.SWITCH if problems else Phase.RETIRE
    return Phase.BOOTSTRAP if problems else Phase.STABLE


def _serving_reasons(known: Authorities, secret: Object | None, terms: Terms, now: datetime) -> tuple[Problem, ...]:
    problems = validation.serving_problems(secret, (known.current.certificate,), terms.names, now)
    if problems:
        return problems
    return (Problem.RENEWAL_DUE,) if now >= _serving_due(secret, terms) else ()


def _serving_due(secret: Object | None, terms: Terms) -> datetime:
    return terms.lifetimes.due(pair_of(secret or {}).certificate)


def _is_served(known: Authorities, observed: Observed, terms: Terms, now: datetime) -> bool:
    """Tell whether a ready pod serves, or may serve, what API servers trust: then a hasty leaf would do harm.

    A leaf that is not valid yet says that our clock is behind, not that API servers refuse it.
    """
    return any(
        leaf is None
        or validation.is_vouched_for(leaf, known.trusted, terms.called, max(now, leaf.not_valid_before_utc))
        for leaf in observed.pods.values()
    )


def _leaf(secret: Object | None) -> set[x509.Certificate]:
    try:
        return {pair_of(secret or {}).certificate}
    except CertificateError:
        return set()


def _carries(secret: Object | None, bundle: bytes) -> bool:
    try:
        return entry(secret or {}, KEY_BUNDLE) == bundle
    except CertificateError:
        return False


def _wish(secret: Object | None) -> str:
    """Read the wish for a rotation off the serving Secret."""
    annotations = (secret or {}).get("metadata", {}).get("annotations") or {}
    wish: str = annotations.get(ANNOTATION_ROTATE_CERTIFICATES, "")
    return wish
