"""Before an uninstallation, Kubernetes' own controllers take the Services over; a new installation takes them back."""

from __future__ import annotations

import asyncio

import pytest

from reconciler import handover
from reconciler.handover import HandoverSettings, hand_over
from reconciler.state.primary_service import SERVICE_OF, WRITTEN_BY
from shared import errors, names
from shared.objects.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES, Object
from tests.support.simulated import KEY, NAMESPACE, Simulation
from tests.support.virtual_time import in_virtual_time

SERVICE = names.valkey(KEY[1])
SETTINGS = HandoverSettings(("ours", "session-storage-reconciler"), "component=reconciler", "INFO")
DEPLOYMENT: Object = {"metadata": {"name": SETTINGS.deployment[1], "namespace": "ours"}, "spec": {"replicas": 2}}
RECONCILER: Object = {"metadata": {"name": "r-0", "namespace": "ours", "labels": {"component": "reconciler"}}}
STRAY: Object = {
    "metadata": {
        "name": f"{SERVICE}-x7k2p",
        "namespace": NAMESPACE,
        "labels": {
            names.LABEL_MANAGED_BY: names.MANAGED_BY,
            SERVICE_OF: SERVICE,
            WRITTEN_BY: "endpointslice-controller.k8s.io",
        },
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.1.0.1"]}],
}


async def started() -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await simulation.settle()
    await simulation.api.create(DEPLOYMENTS, DEPLOYMENT)
    return simulation


def follow(simulation: Simulation) -> list[asyncio.Task[Object]]:
    """Do as Kubernetes' controller does once a Service has a selector."""
    made: list[asyncio.Task[Object]] = []

    def on_write(what: str) -> None:
        service = simulation.find(SERVICES, SERVICE) or {"spec": {}}
        if not made and what == f"replace services/{SERVICE}" and service["spec"].get("selector"):
            made.append(asyncio.ensure_future(simulation.api.create(ENDPOINT_SLICES, STRAY)))

    simulation.api.on_write = on_write
    return made


def replicas(simulation: Simulation) -> int:
    found: int = simulation.api.objects["deployments", *SETTINGS.deployment]["spec"]["replicas"]
    return found


async def test_services_select_their_primaries_and_the_reconciler_has_stopped() -> None:
    simulation = await started()
    (made,) = [follow(simulation)]
    await hand_over(simulation.api, SETTINGS)
    assert made
    service = simulation.find(SERVICES, SERVICE) or {}
    assert service["spec"]["selector"] == {names.LABEL_STORAGE: "mine", names.LABEL_INSTANCE: "0"}
    assert simulation.find(ENDPOINT_SLICES, SERVICE) is None
    assert replicas(simulation) == 0
    await hand_over(simulation.api, SETTINGS)


async def test_a_new_installation_takes_the_services_back() -> None:
    simulation = await started()
    follow(simulation)
    before = simulation.primary
    await hand_over(simulation.api, SETTINGS)
    simulation.start()
    await simulation.settle()
    assert simulation.primary == before
    assert "selector" not in (simulation.find(SERVICES, SERVICE) or {})["spec"]
    assert simulation.find(ENDPOINT_SLICES, STRAY["metadata"]["name"]) is None


@in_virtual_time
async def test_clients_stay_where_they_are_until_kubernetes_has_taken_over() -> None:
    simulation = await started()
    before = simulation.primary
    with pytest.raises(errors.Unavailable, match="where all primaries are"):
        await hand_over(simulation.api, SETTINGS)
    assert (simulation.primary, replicas(simulation)) == (before, 2)


@in_virtual_time
async def test_nothing_is_handed_over_while_a_reconciler_runs() -> None:
    simulation = await started()
    await simulation.api.create(PODS, RECONCILER)
    with pytest.raises(errors.Unavailable, match="the reconcilers have stopped"):
        await hand_over(simulation.api, SETTINGS)
    assert "selector" not in (simulation.find(SERVICES, SERVICE) or {})["spec"]
    assert replicas(simulation) == 2


class Killed(BaseException):
    """The Job's pod is killed: nothing of the program runs any more."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", ["patch deployments/", "replace services/", "delete endpointslices/"])
@in_virtual_time
async def test_a_second_try_restores_the_reconcilers_wherever_the_first_one_was_killed(write: str, when: str) -> None:
    simulation = await started()
    followed = follow(simulation)
    kubernetes_follows = simulation.api.on_write

    def on_write(what: str) -> None:
        kubernetes_follows(what)
        if when == "after" and what.startswith(write):
            raise Killed

    simulation.api.on_write = on_write
    simulation.api.refuse = lambda what: Killed() if when == "before" and what.startswith(write) else None
    with pytest.raises(Killed):
        await hand_over(simulation.api, SETTINGS)
    simulation.api.on_write, simulation.api.refuse = lambda _: None, lambda _: None
    await asyncio.gather(*followed)
    await simulation.api.create(PODS, RECONCILER)
    with pytest.raises(errors.Unavailable, match="the reconcilers have stopped"):
        await hand_over(simulation.api, SETTINGS)
    assert replicas(simulation) == 2
    deployment = simulation.api.objects["deployments", *SETTINGS.deployment]
    assert names.ANNOTATION_REPLICAS not in deployment["metadata"].get("annotations", {})


@in_virtual_time
async def test_the_number_of_reconcilers_that_an_earlier_handover_noted_does_not_outlive_it() -> None:
    """That one ended well, and instead of uninstalling, somebody went on with another number."""
    simulation = await started()
    noted = {"annotations": {names.ANNOTATION_REPLICAS: "2"}}
    deployment = {**DEPLOYMENT, "metadata": DEPLOYMENT["metadata"] | noted, "spec": {"replicas": 3}}
    await simulation.api.replace(DEPLOYMENTS, deployment)
    await simulation.api.create(PODS, RECONCILER)
    with pytest.raises(errors.Unavailable):
        await hand_over(simulation.api, SETTINGS)
    assert replicas(simulation) == 3


async def test_without_a_deployment_the_services_are_handed_over_all_the_same() -> None:
    simulation = await started()
    await simulation.api.delete(DEPLOYMENTS, *SETTINGS.deployment)
    follow(simulation)
    await hand_over(simulation.api, SETTINGS)
    assert simulation.find(ENDPOINT_SLICES, SERVICE) is None


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DEPLOYMENT", raising=False)
    assert handover.main() == 2
    assert "DEPLOYMENT" in capsys.readouterr().err
