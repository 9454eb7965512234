"""Every rule of admission on a real API server: with the webhook, and by the schema alone.

For the schema alone the tests use kube-system, the one namespace that the webhook never sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.objects.resources import SESSION_STORAGES, Object
from tests.integration.consumers import await_injection_of_all
from tests.integration.control_plane import Kubectl
from tests.integration.installation import EXTENDED_PLURALS
from tests.integration.processes import Process, eventually
from tests.rules import consumer_refusals, consumer_warnings, storage_access, storage_refusals, storage_warnings
from tests.rules.rule import ANN, PLATFORM, TEAM, ConsumerRule, Rule, StorageRule

UNSEEN = "kube-system"
DRY_RUN = ("--dry-run=server", "--validate=ignore", "-f", "-")


def seen(rules: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rule", [rule for rule in rules if rule.is_seen], ids=lambda rule: rule.when)


@pytest.fixture(scope="module", autouse=True)
def _namespaces(processes: dict[str, Process], kubectl: Kubectl) -> Iterator[None]:
    """Create the namespaces of the examples, and let `ann` write consumers there."""
    await_injection_of_all(kubectl)
    for namespace in (TEAM, PLATFORM):
        kubectl("create", "namespace", namespace)
    resources = ",".join(f"{plural}.toolhive.stacklok.dev" for plural in EXTENDED_PLURALS)
    kubectl("create", "role", "servers", "--verb=*", f"--resource={resources}", "-n", TEAM)
    kubectl("create", "rolebinding", "servers", "--role=servers", f"--user={ANN}", "-n", TEAM)
    yield
    for namespace in (TEAM, PLATFORM):
        kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def stored(kubectl: Kubectl, rule: Rule) -> Iterator[None]:
    """Store the objects that the example presupposes; the webhook learns of them by its watches."""
    objects = rule.storages if isinstance(rule, ConsumerRule) else ()
    for obj in objects:
        kubectl.api.create(obj)
    yield
    for namespace in (TEAM, PLATFORM, UNSEEN):
        kubectl.api.delete(SESSION_STORAGES, namespace)


def refused(kubectl: Kubectl, rule: StorageRule, namespace: str) -> str:
    """Write the example where it is refused, and return the API server's message."""
    return judged(kubectl.fails, kubectl, rule, namespace)


def judged(ask: Callable[..., str], kubectl: Kubectl, rule: StorageRule, namespace: str) -> str:
    """Have the API server judge the example in a namespace, and return the result of `ask`."""
    written = rule.written(namespace)
    if (old := rule.stored(namespace)) is None:
        return ask("create", *DRY_RUN, stdin=json.dumps(written))
    kubectl.api.create(old)
    # A patch, because the reconciler writes the same object: the API server retries a patch where a PUT would conflict.
    patch = json.dumps([{"op": "replace", "path": "/spec", "value": written["spec"]}])
    name = written["metadata"]["name"]
    return ask("patch", "sstore", name, "-n", namespace, "--type=json", "-p", patch)


def all_of(rule: Rule) -> str:
    """Write all problems as the API server passes them on."""
    return rule.says if not rule.besides else f"[{', '.join(rule.expected)}]"


@seen((*storage_refusals.RULES, *storage_access.RULES))
@pytest.mark.usefixtures("stored")
def test_the_webhook_refuses_a_storage_in_these_words(kubectl: Kubectl, rule: StorageRule) -> None:
    assert f"denied the request: {all_of(rule)}\n" in refused(kubectl, rule, TEAM)


@seen(tuple(rule for rule in storage_refusals.RULES if rule.alone))
@pytest.mark.usefixtures("stored")
def test_the_schema_alone_refuses_it_too(kubectl: Kubectl, rule: StorageRule) -> None:
    assert rule.alone in refused(kubectl, rule, UNSEEN)


@seen(storage_warnings.RULES)
@pytest.mark.usefixtures("stored")
def test_the_webhook_warns_of_a_storage_in_these_words(kubectl: Kubectl, rule: StorageRule) -> None:
    assert judged(kubectl.warns, kubectl, rule, TEAM) == f"Warning: {rule.says}\n"


def writing(rule: ConsumerRule) -> tuple[str, ...]:
    """Return kubectl's arguments with which the example's author creates it in a dry run."""
    return ("create", *DRY_RUN, *(() if rule.may_use else (f"--as={ANN}",)))


@seen(consumer_refusals.RULES)
@pytest.mark.usefixtures("stored")
def test_the_webhook_refuses_a_consumer_in_these_words(kubectl: Kubectl, rule: ConsumerRule) -> None:
    said = kubectl.fails(*writing(rule), stdin=json.dumps(rule.written))
    assert f"denied the request: {all_of(rule)}\n" in said


@seen(consumer_warnings.RULES)
@pytest.mark.usefixtures("stored")
def test_the_webhook_warns_of_a_consumer_in_these_words(kubectl: Kubectl, rule: ConsumerRule) -> None:
    def says(expected: str) -> bool:
        return kubectl.warns(*writing(rule), stdin=json.dumps(rule.written)) == expected

    # At first the webhook may not know the storage yet.
    eventually(lambda: says("".join(f"Warning: {warning}\n" for warning in rule.expected)), what=rule.says)


def test_the_webhook_warns_of_toolhives_defaults_too(kubectl: Kubectl) -> None:
    """ToolHive's schemas fill defaults in before API servers call the webhook, so users need not write these values."""
    by_name = {rule.when: rule for rule in consumer_warnings.RULES}
    for when, field in (
        ("the transport is stdio, which is also ToolHive's default", "transport"),
        ("several replicas, and affinity by client, which is also ToolHive's default", "sessionAffinity"),
        (
            "replicas left to an autoscaler (none are set), and affinity by client, both by ToolHive's default",
            "sessionAffinity",
        ),
    ):
        rule = by_name[when]
        plain: Object = {
            **rule.written,
            "spec": {key: value for key, value in rule.written["spec"].items() if key != field},
        }
        assert rule.says in kubectl.warns("create", *DRY_RUN, stdin=json.dumps(plain))
