"""The controller brings an in-memory cluster to trusted certificates, keeps it there, and then writes nothing."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from certs.apply import Applier
from certs.pki.pem import encoded
from certs.rotation import ca_secret, planner
from certs.rotation.actions import Plan
from certs.rotation.ca_bundles import PublishBundle, WebhookConfiguration
from shared import errors
from shared.kubernetes.informer import Informer
from shared.objects.resources import MUTATING_WEBHOOKS, SECRETS
from tests.support.certificates import CA, CONFIGURATION, NAMESPACE, TLS, World
from tests.support.virtual_time import in_virtual_time

BOOTSTRAP = [
    f"create secrets/{CA}",
    f"apply mutatingwebhookconfigurations/{CONFIGURATION}",
    f"apply validatingwebhookconfigurations/{CONFIGURATION}",
    f"create secrets/{TLS}",
]


@in_virtual_time
async def test_bootstrap_writes_authority_bundles_and_leaf_once_each() -> None:
    world = World()
    async with world.running(), world.controlled():
        await world.settle()
    assert world.api.writes[-4:] == BOOTSTRAP
    secret = world.secret(TLS)
    assert secret is not None
    assert secret["type"] == "kubernetes.io/tls"
    assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt"}


@in_virtual_time
async def test_an_error_that_nobody_foresaw_delays_the_controller_and_is_seen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, original, failures = World(), planner.plan, [RuntimeError("one"), KeyError("two")]

    def plan(*arguments: Any) -> Plan:
        if failures:
            raise failures.pop()
        return original(*arguments)

    monkeypatch.setattr(planner, "plan", plan)
    sample = "session_storage_unforeseen_errors_total", {"part": "the webhook's certificates"}
    before = REGISTRY.get_sample_value(*sample) or 0
    async with world.running(), world.controlled():
        await world.settle()
    assert REGISTRY.get_sample_value(*sample) == before + 2
    assert sum(record.exc_info is not None for record in caplog.records) == 2
    assert world.api.writes[-4:] == BOOTSTRAP


@in_virtual_time
async def test_a_controller_that_finds_everything_in_order_writes_nothing() -> None:
    world = World()
    async with world.running():
        async with world.controlled():
            await world.settle()
        written = list(world.api.writes)
        async with world.controlled():
            await world.settle()
    assert world.api.writes == written


@pytest.mark.parametrize("name", [CA, TLS])
@in_virtual_time
async def test_an_edited_secret_is_repaired_and_keeps_its_labels(name: str) -> None:
    world = World()
    async with world.running(), world.controlled():
        await world.settle()
        edited = copy.deepcopy(world.api.objects[SECRETS.plural, NAMESPACE, name])
        edited["metadata"]["labels"]["team"] = "one"
        edited["data"]["tls.key"] = encoded(b"scribble")
        await world.api.replace(SECRETS, edited)
        await world.settle()
    assert world.api.objects[SECRETS.plural, NAMESPACE, name]["metadata"]["labels"]["team"] == "one"


@in_virtual_time
async def test_a_wiped_bundle_is_restored_at_once_with_an_event() -> None:
    world = World()
    async with world.running(), world.controlled():
        await world.settle()
        written = len(world.api.writes)
        await world.wipe_bundles()
        await asyncio.sleep(0.01)
        assert world.api.writes[written + 1 :] == [f"apply mutatingwebhookconfigurations/{CONFIGURATION}"]
        assert len(world.bundles) == 1
    assert world.events[-1].reason == "BundleRepaired"


@in_virtual_time
async def test_authorities_that_somebody_else_adds_to_a_bundle_are_removed() -> None:
    world, stranger = World(), World()
    async with stranger.running(), stranger.controlled():
        await stranger.settle()
    (other,) = stranger.bundles
    async with world.running(), world.controlled():
        await world.settle()
        (ours,) = world.bundles
        obj = copy.deepcopy(world.api.objects[MUTATING_WEBHOOKS.plural, "", CONFIGURATION])
        obj["webhooks"][0]["clientConfig"]["caBundle"] = encoded(ours + other)
        await world.api.replace(MUTATING_WEBHOOKS, obj)
        await world.settle()
        assert world.bundles == {ours}


@in_virtual_time
async def test_every_phase_of_a_rotation_causes_an_event_in_order() -> None:
    world = World()
    async with world.running(), world.controlled():
        await world.settle()
        world.events.clear()
        await world.ask_for_rotation()
        await world.settle()
    assert [event.reason for event in world.events if event.reason != "RotationHeldUp"] == [
        "TrustNext",
        "Switch",
        "CertificateIssued",
        "Retire",
    ]


@in_virtual_time
async def test_each_request_for_a_rotation_is_fulfilled_once_even_if_the_leader_changes() -> None:
    world = World()
    async with world.running():
        async with world.controlled():
            await world.settle()
            await world.ask_for_rotation("one")
            await world.settle()
        first = world.bundles
        async with world.controlled():
            await world.settle()
            assert world.bundles == first
            await world.ask_for_rotation("two")
            await world.settle()
            assert world.bundles != first
            await world.delete_secret(CA)
            await world.settle()
    held = ca_secret.read(world.secret(CA), world.clock())
    assert held.handled_request == "two"


@in_virtual_time
async def test_a_frozen_pod_keeps_the_old_authority_until_it_is_no_longer_an_endpoint() -> None:
    world = World()
    async with world.running(), world.controlled():
        await world.settle()
        pod = world.pods[0]
        pod.freeze()
        with world.checking_admissions():
            await world.ask_for_rotation()
            await asyncio.sleep(300)
            assert REGISTRY.get_sample_value("session_storage_certificate_phase", {"phase": "Retire"}) == 1
            assert REGISTRY.get_sample_value("session_storage_webhook_pods_seen", {"serving": "nothing"}) == 1
            assert pod.name in world.events[-1].note
            await pod.set_ready(ready=False)
            await world.settle()
    assert world.failures == []
    assert world.events[-1].reason == "Retire"


@in_virtual_time
async def test_a_pod_that_thaws_in_time_fails_no_admission() -> None:
    world = World()
    async with world.running(), world.controlled():
        await world.settle()
        world.pods[0].freeze()
        with world.checking_admissions():
            await world.ask_for_rotation()
            await asyncio.sleep(300)
            world.pods[0].thaw()
            await world.settle()
    assert world.failures == []


@in_virtual_time
async def test_two_controllers_agree_on_one_authority() -> None:
    world = World()
    async with world.running(), world.controlled(), world.controlled():
        await world.settle()
        await world.ask_for_rotation()
        with world.checking_admissions():
            await world.settle()
    assert world.failures == []
    assert [write for write in world.api.writes if write == f"create secrets/{CA}"] == [f"create secrets/{CA}"]


async def test_a_leader_that_was_suspended_does_not_publish_outdated_bundles() -> None:
    world = World()
    for resource in (MUTATING_WEBHOOKS,):
        await world.api.create(resource, {"metadata": {"name": CONFIGURATION}, "webhooks": []})
    configuration = WebhookConfiguration(MUTATING_WEBHOOKS, CONFIGURATION)
    informer = Informer(world.api, MUTATING_WEBHOOKS)
    await informer._list()
    caches = _OnlyConfigurations({configuration: informer})
    applier = Applier(world.api, caches, None)  # type: ignore[arg-type]  # it needs nothing else
    webhooks = [{"name": "a.x", "clientConfig": {"caBundle": encoded(b"newer")}}]
    await world.api.apply(
        MUTATING_WEBHOOKS, {"metadata": {"name": CONFIGURATION}, "webhooks": webhooks}, field_manager="the new leader"
    )
    assert await applier.carry_out(PublishBundle(configuration, ("a.x",), b"older"), world.clock()) is None
    stored = world.api.objects[MUTATING_WEBHOOKS.plural, "", CONFIGURATION]
    assert stored["webhooks"][0]["clientConfig"]["caBundle"] == encoded(b"newer")


class _OnlyConfigurations:
    def __init__(self, configurations: dict[WebhookConfiguration, Informer]) -> None:
        self.configurations = configurations


@pytest.mark.parametrize(
    "refusal",
    [errors.Unavailable("503", 0.01), errors.Forbidden("403"), errors.Rejected("422")],
    ids=lambda refusal: type(refusal).__name__,
)
@in_virtual_time
async def test_a_refused_write_is_reported_once_and_tried_again(
    refusal: errors.ClusterError, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    refusals = [refusal]
    kind = {"error": type(refusal).__name__}
    before = REGISTRY.get_sample_value("session_storage_certificate_errors_total", kind) or 0
    async with world.running():
        world.api.refuse = lambda write: refusals.pop() if refusals and "secrets" in write else None
        async with world.controlled():
            await world.settle()
    told = [
        record for record in caplog.records if record.name == "certs.controller" and record.levelno == logging.WARNING
    ]
    assert told[0].message == "the API server did not take a certificate step; trying again"
    assert REGISTRY.get_sample_value("session_storage_certificate_errors_total", kind) == before + 1


@in_virtual_time
async def test_only_the_leader_exports_the_metrics_of_certificates() -> None:
    world = World()
    async with world.running():
        async with world.controlled():
            await world.settle()
            for kind in ("authority", "serving"):
                end = REGISTRY.get_sample_value("session_storage_certificate_not_after_seconds", {"kind": kind})
                assert end is not None
                assert end > world.clock().timestamp()
            bundle = {"configuration": f"MutatingWebhookConfiguration/{CONFIGURATION}"}
            end = REGISTRY.get_sample_value("session_storage_ca_bundle_not_after_seconds", bundle)
            assert end is not None
            assert end > world.clock().timestamp()
        assert REGISTRY.get_sample_value("session_storage_certificate_phase", {"phase": "Stable"}) is None


@in_virtual_time
async def test_no_key_is_in_the_log_or_in_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    async with world.running(), world.controlled():
        await world.settle()
        await world.ask_for_rotation()
        await world.settle()
    logged = " ".join(str(vars(record)) for record in caplog.records) + str(world.events)
    for name in (CA, TLS):
        secret = world.secret(name)
        assert secret is not None
        assert secret["data"]["tls.key"] not in logged
    assert "PRIVATE KEY" not in logged
    assert "valid until" in logged
