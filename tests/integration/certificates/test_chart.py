"""The objects that Helm renders from the chart's values about certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.installation import RELEASE, chart_objects, environment_of

if TYPE_CHECKING:
    from shared.objects.resources import Object

OURS = f"{RELEASE}-webhook-tls"


def named_secrets(objects: list[Object], component: str) -> set[str]:
    roles = [obj for obj in objects if obj["kind"] == "Role" and obj["metadata"]["name"] == f"{RELEASE}-{component}"]
    granted = [rule for role in roles for rule in role["rules"] if "secrets" in rule["resources"]]
    return {name for rule in granted for name in rule.get("resourceNames", [])}


def test_both_processes_are_told_which_certificates_and_how_long_they_live() -> None:
    objects = chart_objects("certificates.dwell=5s", "certificates.renewAt=0.5")
    told = environment_of(objects, "reconciler")
    assert told["ISSUE_CERTIFICATES"] == "true"
    assert (told["AUTHORITY_LIFE"], told["SERVING_LIFE"], told["DWELL"], told["RENEW_AT"]) == (
        "365d",
        "30d",
        "5s",
        "0.5",
    )
    assert told["WEBHOOK_SELECTOR"].split(",")[-1] == "app.kubernetes.io/component=webhook"
    assert environment_of(objects, "webhook")["TLS_SECRET"] == told["TLS_SECRET"] == OURS
    assert named_secrets(objects, "reconciler") == {OURS, f"{RELEASE}-webhook-ca"}
    assert named_secrets(objects, "webhook") == {OURS}


def test_the_reconciler_may_only_read_a_secret_that_somebody_else_manages() -> None:
    objects = chart_objects("certificates.existingSecret=theirs")
    told = environment_of(objects, "reconciler")
    assert (told["ISSUE_CERTIFICATES"], told["TLS_SECRET"]) == ("false", "theirs")
    assert environment_of(objects, "webhook")["TLS_SECRET"] == "theirs"
    assert named_secrets(objects, "reconciler") == set()
    assert named_secrets(objects, "webhook") == {"theirs"}
