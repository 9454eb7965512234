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
    labels = {"component": "reconciler"}
    await simulation.api.create(PODS, {"metadata": {"name": "r-0", "namespace": "ours", "labels": labels}})
    with pytest.raises(errors.Unavailable, match="the reconcilers have stopped"):
        await hand_over(simulation.api, SETTINGS)
    assert "selector" not in (simulation.find(SERVICES, SERVICE) or {})["spec"]
    assert replicas(simulation) == 2


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DEPLOYMENT", raising=False)
    assert handover.main() == 2
    assert "DEPLOYMENT" in capsys.readouterr().err
