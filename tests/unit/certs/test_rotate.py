"""From any state, the plan leads to trusted certificates in the right order, and then to nothing."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs import check, issue, rotate
from certs.check import Problem
from certs.pem import Pair, bundle_of, encoded, pair_of
from certs.rotate import IssueAuthority, IssueServing, Observed, PublishBundle, WebhookConfiguration
from shared.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS

if TYPE_CHECKING:
    from shared.resources import Object

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = check.dns_names("release-webhook", "toolhive-system")
MUTATING = WebhookConfiguration(MUTATING_WEBHOOKS, "release-webhook")
VALIDATING = WebhookConfiguration(VALIDATING_WEBHOOKS, "release-webhook")
STAGES = 3


def configuration(*names: str) -> Object:
    return {"webhooks": [{"name": name, "clientConfig": {"service": {}}} for name in names]}


def secret(pair: Pair, **extra: str) -> Object:
    return {"data": {"tls.crt": encoded(pair.certificate_pem), "tls.key": encoded(pair.key_pem), **extra}}


def empty() -> Observed:
    return Observed(None, None, {MUTATING: configuration("storages", "servers"), VALIDATING: configuration("one")})


def applied(observed: Observed, action: rotate.Action, now: datetime) -> Observed:
    match action:
        case IssueAuthority():
            return replace(observed, authority=secret(issue.issue_authority(now)))
        case PublishBundle(configuration, webhooks, bundle):
            obj = copy.deepcopy(observed.configurations[configuration])
            for webhook in obj["webhooks"]:
                assert webhook["name"] in webhooks
                webhook["clientConfig"]["caBundle"] = encoded(bundle)
            return replace(observed, configurations={**observed.configurations, configuration: obj})
        case IssueServing(authority, bundle, _):
            leaf = issue.issue_serving(authority, NAMES, now)
            return replace(observed, serving=secret(leaf, **{"ca.crt": encoded(bundle)}))


def settled(observed: Observed, now: datetime) -> tuple[Observed, list[rotate.Action]]:
    history: list[rotate.Action] = []
    for _ in range(STAGES):
        for action in rotate.plan(observed, NAMES, now):
            observed = applied(observed, action, now)
            history.append(action)
    assert rotate.plan(observed, NAMES, now) == ()
    return observed, history


def kinds(actions: list[rotate.Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def test_bootstrap_makes_the_authority_then_the_bundles_then_the_leaf() -> None:
    observed, history = settled(empty(), NOW)
    assert kinds(history) == ["IssueAuthority", "PublishBundle", "PublishBundle", "IssueServing"]
    assert observed.serving is not None
    assert check.serving_problems(observed.serving, bundle_of(observed.serving), NAMES, NOW) == ()


def test_each_stage_waits_for_the_one_before() -> None:
    observed = empty()
    for kind in ("IssueAuthority", "PublishBundle", "IssueServing"):
        actions = rotate.plan(observed, NAMES, NOW)
        assert {type(action).__name__ for action in actions} == {kind}
        for action in actions:
            observed = applied(observed, action, NOW)


def test_a_configuration_that_does_not_exist_yet_holds_nothing_up_and_is_served_later() -> None:
    observed, history = settled(replace(empty(), configurations={}), NOW)
    assert kinds(history) == ["IssueAuthority", "IssueServing"]
    _, history = settled(replace(observed, configurations={MUTATING: configuration("storages")}), NOW)
    assert kinds(history) == ["PublishBundle"]


def test_a_configuration_without_webhooks_needs_no_bundle() -> None:
    _, history = settled(replace(empty(), configurations={MUTATING: {}, VALIDATING: {"webhooks": None}}), NOW)
    assert kinds(history) == ["IssueAuthority", "IssueServing"]


@pytest.mark.parametrize("bundle", [None, "", "aGk=", "%%%"])
def test_a_bundle_that_anybody_changed_is_restored_and_nothing_else_is_touched(bundle: str | None) -> None:
    observed, _ = settled(empty(), NOW)
    changed = copy.deepcopy(observed.configurations[MUTATING])
    changed["webhooks"][1]["clientConfig"]["caBundle"] = bundle
    changed_everywhere = replace(observed, configurations={**observed.configurations, MUTATING: changed})
    restored, history = settled(changed_everywhere, NOW)
    assert kinds(history) == ["PublishBundle"]
    assert restored == observed


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
def test_a_lost_leaf_is_signed_again_by_the_same_authority(serving: Object | None, reason: Problem) -> None:
    observed, _ = settled(empty(), NOW)
    (action,) = rotate.plan(replace(observed, serving=serving), NAMES, NOW)
    assert isinstance(action, IssueServing)
    assert action.reasons == (reason,)


def test_the_bundle_beside_the_leaf_is_restored() -> None:
    observed, _ = settled(empty(), NOW)
    assert observed.serving is not None
    for bundle in ("", "aGk=", "%%%"):
        tampered = {"data": {**observed.serving["data"], "ca.crt": bundle}}
        (action,) = rotate.plan(replace(observed, serving=tampered), NAMES, NOW)
        assert isinstance(action, IssueServing)
        assert action.reasons == (Problem.STALE_BUNDLE,)


def test_a_renamed_service_gets_a_new_leaf() -> None:
    observed, _ = settled(empty(), NOW)
    (action,) = rotate.plan(observed, check.dns_names("other", "toolhive-system"), NOW)
    assert isinstance(action, IssueServing)


def test_a_lost_authority_is_followed_by_everything_it_signed() -> None:
    observed, _ = settled(empty(), NOW)
    _, history = settled(replace(observed, authority=None), NOW)
    assert kinds(history) == ["IssueAuthority", "PublishBundle", "PublishBundle", "IssueServing"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(timedelta(days=19), [], id="young"),
        pytest.param(timedelta(days=20), ["IssueServing"], id="leaf at two thirds"),
        pytest.param(timedelta(days=31), ["IssueServing"], id="leaf expired while nobody looked"),
        pytest.param(
            timedelta(days=244),
            ["IssueAuthority", "PublishBundle", "PublishBundle", "IssueServing"],
            id="authority at two thirds",
        ),
        pytest.param(
            timedelta(days=4000),
            ["IssueAuthority", "PublishBundle", "PublishBundle", "IssueServing"],
            id="everything expired",
        ),
        pytest.param(
            timedelta(days=-30),
            ["IssueAuthority", "PublishBundle", "PublishBundle", "IssueServing"],
            id="the clock was a month ahead",
        ),
    ],
)
def test_time_alone_brings_renewal(after: timedelta, expected: list[str]) -> None:
    observed, _ = settled(empty(), NOW)
    _, history = settled(observed, NOW + after)
    assert kinds(history) == expected


def test_a_year_of_daily_looks_renews_leaves_every_twenty_days_and_never_cuts_one_short() -> None:
    observed, _ = settled(empty(), NOW)
    renewals = []
    for day in range(1, 366):
        now = NOW + timedelta(days=day)
        observed, history = settled(observed, now)
        renewals += [day for action in history if isinstance(action, IssueServing)]
        assert observed.serving is not None
        certificate = pair_of(observed.serving).certificate
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=30, hours=1)
    assert 18 <= len(renewals) <= 20


@given(
    authority=st.booleans(),
    serving=st.sampled_from(["ours", "empty", "absent"]),
    bundles=st.sampled_from(["ours", "none", "absent"]),
    days=st.integers(-400, 4000),
)
def test_from_any_state_at_any_time_three_stages_suffice(
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


SETTLED, _ = settled(empty(), NOW)
