"""With an external issuer, the controller publishes the issuer's authorities and issues nothing itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from certs.pki import issue, validation
from certs.pki.pem import Pair, bundle_pem, encoded
from certs.rotation import external_issuer
from certs.rotation.actions import Observed, Phase
from certs.rotation.ca_bundles import PublishBundle, WebhookConfiguration
from shared.objects.resources import MUTATING_WEBHOOKS
from webhook.serving_certificate import ServingCertificate

if TYPE_CHECKING:
    from shared.objects.resources import Object

NOW = datetime.now(UTC)
NAMES = validation.dns_names("release-webhook", "session-storage-system")
CONFIGURATION = WebhookConfiguration(MUTATING_WEBHOOKS, "release-webhook")
OLD, NEW = issue.issue_authority(NOW), issue.issue_authority(NOW)
OLD_LEAF, NEW_LEAF = (issue.issue_serving(authority, NAMES, NOW) for authority in (OLD, NEW))


def secret(leaf: Pair, *trusted: Pair) -> Object:
    content = {
        "tls.crt": leaf.certificate_pem,
        "tls.key": leaf.key_pem,
        "ca.crt": bundle_pem(authority.certificate for authority in trusted),
    }
    return {"metadata": {"name": "theirs"}, "data": {key: encoded(value) for key, value in content.items()}}


def configuration(*trusted: Pair) -> Object:
    bundle = encoded(bundle_pem(authority.certificate for authority in trusted))
    return {"webhooks": [{"name": "a.x", "clientConfig": {"caBundle": bundle}}]}


def seen(serving: Object | None, trusted: tuple[Pair, ...], **pods: x509.Certificate | None) -> Observed:
    return Observed(None, serving, {CONFIGURATION: configuration(*trusted)}, pods)


def published(observed: Observed) -> bytes | None:
    actions = external_issuer.plan(observed, NOW).actions
    assert all(isinstance(action, PublishBundle) for action in actions)
    return actions[0].bundle if actions and isinstance(actions[0], PublishBundle) else None


def test_the_issuers_authority_is_published_and_then_no_step_follows() -> None:
    assert published(seen(secret(NEW_LEAF, NEW), ())) == bundle_pem([NEW.certificate])
    at_rest = external_issuer.plan(seen(secret(NEW_LEAF, NEW), (NEW,), a=NEW_LEAF.certificate), NOW)
    assert (at_rest.phase, at_rest.actions, at_rest.pods_behind) == (Phase.STABLE, (), ())


def test_duplicate_and_expired_authorities_are_left_out() -> None:
    expired = issue.issue_authority(NOW - timedelta(days=900))
    assert published(seen(secret(NEW_LEAF, NEW, expired, NEW), ())) == bundle_pem([NEW.certificate])


def test_the_former_authority_is_trusted_for_as_long_as_a_pod_may_serve_what_it_signed() -> None:
    both = bundle_pem([NEW.certificate, OLD.certificate])
    for pod in (OLD_LEAF.certificate, None):
        observed = seen(secret(NEW_LEAF, NEW), (OLD,), a=pod, b=NEW_LEAF.certificate)
        assert published(observed) == both
        assert external_issuer.plan(observed, NOW).waits_for_pods == ("a",)
    assert published(seen(secret(NEW_LEAF, NEW), (NEW, OLD), a=NEW_LEAF.certificate)) == bundle_pem([NEW.certificate])


def test_without_a_usable_secret_no_authority_is_removed_from_the_bundles() -> None:
    unusable_ones: list[Object | None] = [
        None,
        {"data": {}},
        replace_bundle(secret(NEW_LEAF, NEW)),
        secret(NEW_LEAF, issue.issue_authority(NOW - timedelta(days=900))),
        secret(NEW_LEAF, NEW_LEAF),
    ]
    for unusable in unusable_ones:
        step = external_issuer.plan(seen(unusable, (OLD,), a=None), NOW)
        assert (step.phase, step.actions, step.pods_behind) == (Phase.BOOTSTRAP, (), ("a",))


def replace_bundle(obj: Object) -> Object:
    return {**obj, "data": {**obj["data"], "ca.crt": ""}}


def test_an_rsa_leaf_behind_an_intermediate_authority_is_served() -> None:
    root, intermediate = issue.issue_authority(NOW), issue.issue_authority(NOW)
    key = rsa.generate_private_key(65537, 2048)
    signed = _signed(intermediate.certificate, root, path_length=0)
    issued = issue.issue_serving(intermediate, NAMES[:1], NOW).certificate
    leaf = _signed(issued, Pair(signed, intermediate.key), key)
    certificate = ServingCertificate(NAMES[:1], lambda: NOW)
    certificate.on_change(None, secret(Pair(leaf, key, (signed,)), replace(root, certificate=_root(root))))
    assert certificate.problem == ""
    assert certificate.served == leaf


def _root(pair: Pair) -> x509.Certificate:
    """Issue an authority that may sign an intermediate one."""
    return _signed(pair.certificate, pair, path_length=1)


def _signed(
    template: x509.Certificate, issuer: Pair, key: rsa.RSAPrivateKey | None = None, path_length: int | None = None
) -> x509.Certificate:
    public = key.public_key() if key else template.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
    )
    skipped = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.BasicConstraints)
    for extension in template.extensions:
        if not isinstance(extension.value, skipped):
            builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
    )
    constraints = x509.BasicConstraints(ca=path_length is not None, path_length=path_length)
    return builder.add_extension(constraints, critical=True).sign(issuer.key, SHA256())
