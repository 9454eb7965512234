"""From any state, the plan leads to trusted certificates in the right order, and then has no more steps."""

from __future__ import annotations

import base64
import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certs.pki import issue, validation
from certs.pki.lifetimes import DEFAULT
from certs.pki.pem import Pair, bundle_of, bundle_pem, encoded, pair_of
from certs.pki.validation import Problem
from certs.rotation import ca_secret, planner
from certs.rotation.actions import (
    Action,
    CertificateSpec,
    Evidence,
    EvidenceAge,
    IssueAuthority,
    IssueServing,
    Observed,
    Phase,
    StoreAuthorities,
    StoreBundle,
)
from certs.rotation.ca_bundles import PublishBundle, WebhookConfiguration
from certs.rotation.ca_secret import Authorities
from shared.names import ANNOTATION_ROTATE_CERTIFICATES
from shared.objects.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS

if TYPE_CHECKING:
    from cryptography import x509

    from shared.objects.resources import Object

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = validation.dns_names("release-webhook", "session-storage-system")
SPEC = CertificateSpec(NAMES, DEFAULT)
MUTATING = WebhookConfiguration(MUTATING_WEBHOOKS, "release-webhook")
VALIDATING = WebhookConfiguration(VALIDATING_WEBHOOKS, "release-webhook")
STEPS = 12
LONG = EvidenceAge(timedelta(hours=1), timedelta(hours=1))
FRESH = EvidenceAge()


def configuration(*names: str) -> Object:
    return {"webhooks": [{"name": name, "clientConfig": {"service": {}}} for name in names]}


def secret(pair: Pair, **extra: str) -> Object:
    return {"data": {"tls.crt": encoded(pair.certificate_pem), "tls.key": encoded(pair.key_pem), **extra}}


def empty() -> Observed:
    return Observed(None, None, {MUTATING: configuration("storages", "servers"), VALIDATING: configuration("one")}, {})


def applied(observed: Observed, action: Action, now: datetime) -> Observed:
    match action:
        case IssueAuthority(_, predecessor, retired, handled_request):
            new = issue.issue_authority(now)
            stored = (
                replace(predecessor, next=new, handled_request=handled_request)
                if predecessor
                else Authorities(new, None, retired, handled_request)
            )
            return replace(observed, authority=stored_secret(stored))
        case StoreAuthorities(stored, _):
            return replace(observed, authority=stored_secret(stored))
        case PublishBundle(configuration, webhooks, bundle):
            obj = copy.deepcopy(observed.configurations[configuration])
            for webhook in obj["webhooks"]:
                assert webhook["name"] in webhooks
                webhook["clientConfig"]["caBundle"] = encoded(bundle)
            return replace(observed, configurations={**observed.configurations, configuration: obj})
        case IssueServing(authority, bundle, _):
            leaf = issue.issue_serving(authority, NAMES, now)
            metadata = (observed.serving or {}).get("metadata", {})
            serving = {"metadata": metadata, **secret(leaf, **{"ca.crt": encoded(bundle)})}
            return replace(observed, serving=serving, pods=dict.fromkeys(observed.pods, leaf.certificate))
        case StoreBundle(bundle):
            assert observed.serving is not None
            data = {**observed.serving["data"], "ca.crt": encoded(bundle)}
            return replace(observed, serving={**observed.serving, "data": data})


def stored_secret(stored: Authorities) -> Object:
    annotations = (
        {"toolhive.stacklok.dev/certificates-rotated": stored.handled_request} if stored.handled_request else {}
    )
    return {"metadata": {"annotations": annotations}, "data": stored.content()}


def settled(observed: Observed, now: datetime) -> tuple[Observed, list[Action]]:
    history: list[Action] = []
    for _ in range(STEPS):
        actions = planner.plan(observed, SPEC, LONG, now).actions
        if not actions:
            return observed, history
        for action in actions:
            observed = applied(observed, action, now)
        history += actions
    raise AssertionError(kinds(history))


def kinds(actions: list[Action] | tuple[Action, ...]) -> list[str]:
    return [type(action).__name__ for action in actions]


SETTLED, _ = settled(replace(empty(), pods={"one": None}), NOW)
ROTATED = [
    "IssueAuthority", "PublishBundle", "PublishBundle", "StoreBundle",
    "StoreAuthorities", "IssueServing",
    "StoreAuthorities", "PublishBundle", "PublishBundle", "StoreBundle",
]  # fmt: skip
RECOVERED = ["IssueAuthority", "PublishBundle", "PublishBundle", "IssueServing", *ROTATED[6:]]


def asked(observed: Observed, request: str) -> Observed:
    assert observed.serving is not None
    metadata = {"annotations": {ANNOTATION_ROTATE_CERTIFICATES: request}}
    return replace(observed, serving={**observed.serving, "metadata": metadata})


def leaf_of(observed: Observed) -> x509.Certificate:
    assert observed.serving is not None
    return pair_of(observed.serving).certificate


def test_bootstrap_makes_the_authority_then_the_bundles_then_the_leaf() -> None:
    observed, history = settled(empty(), NOW)
    assert kinds(history) == ["IssueAuthority", "PublishBundle", "PublishBundle", "IssueServing"]
    assert observed.serving is not None
    assert validation.serving_problems(observed.serving, bundle_of(observed.serving), NAMES, NOW) == ()


def test_no_step_waits_for_the_dwell_while_no_pod_serves() -> None:
    observed = empty()
    for kind in ("IssueAuthority", "PublishBundle", "IssueServing"):
        actions = planner.plan(observed, SPEC, FRESH, NOW).actions
        assert {type(action).__name__ for action in actions} == {kind}
        for action in actions:
            observed = applied(observed, action, NOW)


def test_a_missing_configuration_delays_nothing_and_gets_its_bundle_later() -> None:
    observed, history = settled(replace(empty(), configurations={}), NOW)
    assert kinds(history) == ["IssueAuthority", "IssueServing"]
    _, history = settled(replace(observed, configurations={MUTATING: configuration("storages")}), NOW)
    assert kinds(history) == ["PublishBundle"]


def test_a_configuration_without_webhooks_needs_no_bundle() -> None:
    _, history = settled(replace(empty(), configurations={MUTATING: {}, VALIDATING: {"webhooks": None}}), NOW)
    assert kinds(history) == ["IssueAuthority", "IssueServing"]


@pytest.mark.parametrize("bundle", [None, "", "aGk=", "%%%"])
def test_an_edited_bundle_is_restored_and_nothing_else_is_touched(bundle: str | None) -> None:
    changed = copy.deepcopy(SETTLED.configurations[MUTATING])
    changed["webhooks"][1]["clientConfig"]["caBundle"] = bundle
    changed_everywhere = replace(SETTLED, configurations={**SETTLED.configurations, MUTATING: changed})
    restored, history = settled(changed_everywhere, NOW)
    assert kinds(history) == ["PublishBundle"]
    assert restored == SETTLED


@pytest.mark.parametrize(
    ("serving", "reason"),
    [
        pytest.param(None, Problem.ABSENT, id="deleted"),
        pytest.param({"data": {}}, Problem.MALFORMED, id="emptied"),
        pytest.param(
            secret(issue.issue_serving(issue.issue_authority(NOW), NAMES, NOW)), Problem.UNTRUSTED, id="else's"
        ),
    ],
)
def test_a_lost_leaf_is_signed_again_at_once_by_the_same_authority(serving: Object | None, reason: Problem) -> None:
    (action,) = planner.plan(replace(SETTLED, serving=serving), SPEC, FRESH, NOW).actions
    assert isinstance(action, IssueServing)
    assert action.reasons == (reason,)


@pytest.mark.parametrize("bundle", ["", "aGk=", "%%%"])
def test_the_bundle_beside_the_leaf_is_restored_and_the_leaf_stays(bundle: str) -> None:
    assert SETTLED.serving is not None
    tampered = {"data": {**SETTLED.serving["data"], "ca.crt": bundle}}
    _, history = settled(replace(SETTLED, serving=tampered), NOW)
    assert kinds(history) == ["StoreBundle"]


def test_a_renamed_service_gets_a_new_leaf() -> None:
    spec = CertificateSpec(validation.dns_names("other", "session-storage-system"), DEFAULT)
    (action,) = planner.plan(SETTLED, spec, LONG, NOW).actions
    assert isinstance(action, IssueServing)


def test_a_rotation_keeps_both_authorities_in_one_unchanging_bundle_until_the_old_one_retires() -> None:
    _, history = settled(asked(SETTLED, "please"), NOW)
    assert kinds(history) == ROTATED
    published = [action.bundle for action in history if isinstance(action, PublishBundle)]
    assert len(set(published)) == 2
    both, one = published[0], published[-1]
    assert both.count(b"BEGIN") == 2
    assert one.count(b"BEGIN") == 1
    assert both.startswith(one)


def test_each_request_for_a_rotation_is_fulfilled_once() -> None:
    observed, _ = settled(asked(SETTLED, "one"), NOW)
    assert settled(observed, NOW)[1] == []
    assert kinds(settled(asked(observed, "two"), NOW)[1]) == ROTATED
    without, _ = settled(replace(observed, serving=None), NOW)
    assert settled(without, NOW)[1] == []


def until(observed: Observed, kind: type) -> Observed:
    """Carry out steps until the next one is of this kind."""
    while not isinstance(planner.plan(observed, SPEC, LONG, NOW).actions[0], kind):
        for action in planner.plan(observed, SPEC, LONG, NOW).actions:
            observed = applied(observed, action, NOW)
    return observed


def test_a_successor_signs_only_when_it_has_been_in_every_bundle_for_the_dwell() -> None:
    staged = until(asked(SETTLED, "please"), StoreAuthorities)
    waiting = planner.plan(staged, SPEC, EvidenceAge(timedelta(seconds=59)), NOW)
    assert (waiting.phase, waiting.actions, waiting.wait) == (Phase.TRUST_NEXT, (), timedelta(seconds=1))
    assert kinds(planner.plan(staged, SPEC, EvidenceAge(timedelta(seconds=60)), NOW).actions) == ["StoreAuthorities"]
    assert leaf_of(staged) == leaf_of(SETTLED)


def test_the_old_authority_retires_only_when_every_ready_pod_serves_the_new_leaf() -> None:
    switched = until(until(asked(SETTLED, "please"), IssueServing), IssueServing)
    (action,) = planner.plan(switched, SPEC, LONG, NOW).actions
    switched = applied(switched, action, NOW)
    new, old = leaf_of(switched), leaf_of(SETTLED)
    for pods, behind in (
        ({"a": None, "b": new}, ("a",)),
        ({"a": new, "b": old}, ("b",)),
        ({"a": old, "b": None}, ("a", "b")),
    ):
        waiting = planner.plan(replace(switched, pods=pods), SPEC, LONG, NOW)
        assert (waiting.phase, waiting.actions, waiting.waits_for_pods) == (Phase.RETIRE, (), behind)
    seen = replace(switched, pods={"a": new, "b": new})
    assert planner.plan(seen, SPEC, EvidenceAge(timedelta(hours=1), timedelta(seconds=59)), NOW).actions == ()
    assert kinds(planner.plan(seen, SPEC, LONG, NOW).actions) == ["StoreAuthorities"]


def test_the_evidence_identifies_the_present_objects_and_changes_with_any_write() -> None:
    found = planner.evidence(SETTLED, SPEC, NOW)
    assert found.published is not None
    assert found.served is not None
    rewritten = copy.deepcopy(dict(SETTLED.configurations))
    rewritten[MUTATING]["metadata"] = {"resourceVersion": "7"}
    assert planner.evidence(replace(SETTLED, configurations=rewritten), SPEC, NOW).published != found.published
    assert planner.evidence(replace(SETTLED, configurations=empty().configurations), SPEC, NOW).published is None
    assert planner.evidence(replace(SETTLED, pods={"one": None}), SPEC, NOW).served is None
    assert planner.evidence(empty(), SPEC, NOW) == Evidence()


def test_a_lost_authority_is_replaced_while_the_one_that_pods_rely_on_stays_trusted() -> None:
    observed, history = settled(replace(SETTLED, authority=None), NOW)
    assert kinds(history) == RECOVERED
    published = next(action.bundle for action in history if isinstance(action, PublishBundle))
    old = ca_secret.read(SETTLED.authority, NOW).usable
    assert old is not None
    assert published.endswith(old.bundle)
    assert old.current.certificate_pem not in b"".join(
        authority.bundle for authority in [ca_secret.read(observed.authority, NOW).usable] if authority
    )


def test_a_new_leaf_waits_for_trust_while_pods_serve_an_old_one() -> None:
    lost = until(replace(SETTLED, authority=None), IssueServing)
    assert planner.plan(lost, SPEC, FRESH, NOW).actions == ()
    assert planner.plan(replace(lost, pods={"one": None}), SPEC, FRESH, NOW).actions == ()
    assert kinds(planner.plan(replace(lost, pods={}), SPEC, FRESH, NOW).actions) == ["IssueServing"]


def test_a_clock_that_is_behind_removes_no_authority_too_early() -> None:
    yesterday = NOW - timedelta(days=1)
    observed = SETTLED
    while actions := planner.plan(observed, SPEC, FRESH, yesterday).actions:
        assert not isinstance(actions[0], IssueServing)
        for action in actions:
            observed = applied(observed, action, yesterday)
    published = next(iter(observed.configurations.values()))["webhooks"][0]["clientConfig"]["caBundle"]
    old = ca_secret.read(SETTLED.authority, NOW).usable
    assert old is not None
    assert old.current.certificate_pem in base64.b64decode(published)


def test_an_authority_from_a_backup_does_not_displace_the_present_one() -> None:
    other = Authorities(issue.issue_authority(NOW))
    _, history = settled(replace(SETTLED, authority=stored_secret(other)), NOW)
    assert kinds(history) == ["StoreAuthorities", "PublishBundle", "PublishBundle", "IssueServing", *ROTATED[6:]]


def test_a_return_from_an_external_issuer_keeps_trusting_what_pods_serve() -> None:
    others = issue.issue_authority(NOW)
    # The issuer's leaf is valid for the name by which API servers call the webhook, and may lack the others.
    their_leaf = issue.issue_serving(others, NAMES[:1], NOW).certificate
    theirs = {"webhooks": [{"name": "a", "clientConfig": {"caBundle": encoded(others.certificate_pem)}}]}
    unseen = replace(SETTLED, configurations={MUTATING: theirs}, pods={"a": None})
    (action,) = planner.plan(unseen, SPEC, FRESH, NOW).actions
    assert isinstance(action, PublishBundle)
    assert action.bundle.endswith(others.certificate_pem)
    both = applied(unseen, action, NOW)
    assert planner.plan(both, SPEC, FRESH, NOW).actions == ()
    seen = planner.plan(replace(both, pods={"a": their_leaf}), SPEC, FRESH, NOW).actions[0]
    assert isinstance(seen, StoreAuthorities)
    assert seen.authorities.retired == (others.certificate,)
    assert kinds(planner.plan(replace(both, pods={"a": leaf_of(both)}), SPEC, FRESH, NOW).actions) == ["PublishBundle"]


def test_an_authority_in_the_serving_secret_does_not_become_trusted() -> None:
    stranger = issue.issue_authority(NOW)
    leaf = issue.issue_serving(stranger, NAMES, NOW)
    brought = secret(leaf, **{"ca.crt": encoded(stranger.certificate_pem)})
    _, history = settled(replace(SETTLED, serving=brought), NOW)
    assert kinds(history) == ["IssueServing"]


def test_a_successor_takes_over_from_an_authority_that_is_lost_or_has_expired() -> None:
    staged = until(asked(SETTLED, "please"), StoreAuthorities)
    assert staged.authority is not None
    data = {**staged.authority["data"], "tls.key": encoded(b"scribble")}
    observed, history = settled(replace(staged, authority={**staged.authority, "data": data}), NOW)
    assert kinds(history)[0] == "StoreAuthorities"
    assert "IssueAuthority" not in kinds(history)
    held = ca_secret.read(observed.authority, NOW).usable
    assert held is not None
    assert bundle_pem(held.trusted) == bundle_pem([held.current.certificate])


def test_duplicates_and_expired_authorities_leave_the_bundle() -> None:
    held = ca_secret.read(SETTLED.authority, NOW).usable
    assert held is not None
    old = issue.issue_authority(NOW - timedelta(days=500)).certificate
    recent = issue.issue_authority(NOW - timedelta(days=300)).certificate
    stored = stored_secret(replace(held, retired=(recent, old, recent, held.current.certificate)))
    published = planner.plan(replace(SETTLED, authority=stored), SPEC, LONG, NOW).actions[0]
    assert isinstance(published, PublishBundle)
    assert published.bundle == bundle_pem([held.current.certificate, recent])


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(timedelta(days=19, hours=23), [], id="young"),
        pytest.param(timedelta(days=20), ["IssueServing"], id="leaf at two thirds"),
        pytest.param(timedelta(days=31), ["IssueServing"], id="leaf expired while nobody looked"),
        pytest.param(timedelta(days=244), ["IssueServing", *ROTATED], id="authority at two thirds"),
        pytest.param(timedelta(days=4000), RECOVERED[:4], id="everything expired"),
        pytest.param(timedelta(days=-30), RECOVERED, id="the clock was a month ahead"),
    ],
)
def test_certificates_are_renewed_when_their_time_comes(after: timedelta, expected: list[str]) -> None:
    _, history = settled(SETTLED, NOW + after)
    assert kinds(history) == expected


def test_the_next_pass_is_when_the_next_step_is_due() -> None:
    assert planner.plan(SETTLED, SPEC, LONG, NOW).wait == timedelta(days=20)
    assert planner.plan(SETTLED, SPEC, LONG, NOW + timedelta(days=19)).wait == timedelta(days=1)


def test_a_year_of_daily_passes_renews_leaves_every_twenty_days_and_never_earlier() -> None:
    observed = SETTLED
    renewals = []
    for day in range(1, 366):
        now = NOW + timedelta(days=day)
        observed, history = settled(observed, now)
        renewals += [day for action in history if isinstance(action, IssueServing)]
        certificate = leaf_of(observed)
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=30, hours=1)
    assert 18 <= len(renewals) <= 20


@given(
    authority=st.booleans(),
    serving=st.sampled_from(["ours", "empty", "absent"]),
    bundles=st.sampled_from(["ours", "none", "absent"]),
    days=st.integers(-400, 4000),
)
@example(authority=True, serving="ours", bundles="ours", days=365)  # the authority's last second
def test_from_any_state_at_any_time_a_few_steps_suffice(
    *, authority: bool, serving: str, bundles: str, days: int
) -> None:
    observed = SETTLED
    if not authority:
        observed = replace(observed, authority=None)
    if serving != "ours":
        observed = replace(observed, serving=None if serving == "absent" else {})
    if bundles != "ours":
        observed = replace(observed, configurations={} if bundles == "absent" else empty().configurations)
    settled(observed, NOW + timedelta(days=days))
