"""What the API server refuses holds up only what builds on it; the status has the API server's own words."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from reconciler.manifests.instance_spec import Image
from reconciler.runtime.update_slots import PATIENCE_SECONDS
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.write_outcome import RETRY
from shared import errors, names
from shared.objects.resources import CONFIG_MAPS, PODS, SECRETS, STATEFUL_SETS, Object
from tests.support.drill import ELSEWHERE, MIRROR, Drill
from tests.support.simulated import KEY, NAMESPACE, SETTINGS, Simulation

QUOTA: Final = "403 Forbidden: exceeded quota: team"
ERRORS: Final = [
    errors.Forbidden(QUOTA),
    errors.Rejected("422 Invalid: no"),
    errors.Unavailable("500 InternalError: failed calling webhook"),
    errors.Conflict("409 Conflict: the object has been modified"),
]
OTHER_IMAGE: Final = replace(SETTINGS, image=Image("registry.example/valkey:10", "IfNotPresent"))


def refusing(*what: str, error: errors.ClusterError | None = None) -> Callable[[str], BaseException | None]:
    """Build an API server that refuses the writes whose text contains one of these."""
    refusal = error or errors.Forbidden(QUOTA)
    return lambda call: refusal if any(each in call for each in what) else None


@pytest.fixture(name="mine")
async def mine_fixture() -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size="large")
    await simulation.settle()
    return simulation


def condition(simulation: Simulation, kind: str) -> Object:
    return next((each for each in simulation.status["conditions"] if each["type"] == kind), {})


async def passes(simulation: Simulation, count: int) -> None:
    """Make passes, whatever comes of each."""
    for _ in range(count):
        with contextlib.suppress(errors.ClusterError):
            await simulation.reconcile()
        await simulation.boot()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_failover_goes_on_while_another_object_is_refused(mine: Simulation, error: errors.ClusterError) -> None:
    before = mine.status["primary"]
    await mine.edit(CONFIG_MAPS, "mine-valkey", {"data": {"valkey.conf": "appendonly no"}})
    mine.api.refuse = refusing("networkpolicies/", "configmaps/", "statefulsets/", error=error)
    await mine.api.delete(PODS, NAMESPACE, f"{before}-0")
    del mine.valkey.instances[mine.primary]
    await passes(mine, 4)
    assert mine.status["primary"] != before


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_repair_that_is_refused_holds_no_drain_up(mine: Simulation, error: errors.ClusterError) -> None:
    before = mine.status["primary"]
    mine.api.refuse = refusing("networkpolicies/", "poddisruptionbudgets/", error=error)
    for kind, name in (("networkpolicies", "mine-valkey"), ("poddisruptionbudgets", "mine-valkey-primary")):
        del mine.api.objects[kind, NAMESPACE, name]
    await passes(mine, 3)
    mine.nodes = KubernetesNodes(frozenset({"host-1", "host-2"}), frozenset({"host-0"}))
    await passes(mine, 4)
    assert (before, mine.status["lastFailover"]["reason"]) == ("mine-valkey-0", "NodeIsDrained")
    assert mine.status["primary"] != before


async def test_the_status_repeats_what_the_api_server_says(mine: Simulation) -> None:
    del mine.api.objects["networkpolicies", NAMESPACE, "mine-valkey"]
    mine.api.refuse = refusing("networkpolicies/")
    await mine.reconcile()
    told = condition(mine, "ChangesAccepted")
    assert (told["status"], told["reason"]) == ("False", "ApplyRefused")
    assert f"NetworkPolicy mine-valkey: {QUOTA}" in told["message"]
    assert (mine.status["phase"], condition(mine, "Ready")["status"]) == ("Degraded", "True")
    assert "ApplyRefused" in mine.events


async def test_a_refused_write_is_repeated_once_a_minute_and_told_once(mine: Simulation) -> None:
    del mine.api.objects["networkpolicies", NAMESPACE, "mine-valkey"]
    asked: list[str] = []

    def refuse(call: str) -> BaseException | None:
        asked.append(call)
        return errors.Forbidden(QUOTA) if "networkpolicies/" in call else None

    mine.api.refuse = refuse
    for _ in range(60):
        await mine.reconcile()
        mine.passed += timedelta(seconds=10)
    assert len([call for call in asked if "networkpolicies/" in call]) == 10
    assert len([call for call in asked if "sessionstorages/" in call]) == 1
    mine.api.refuse = lambda _: None
    mine.passed += RETRY
    await mine.settle()
    assert condition(mine, "ChangesAccepted") == {}
    assert mine.status["phase"] == "Ready"


async def test_a_write_that_conflicts_again_and_again_is_told_in_the_end(mine: Simulation) -> None:
    del mine.api.objects["networkpolicies", NAMESPACE, "mine-valkey"]
    mine.api.refuse = refusing("networkpolicies/", error=errors.Conflict("409 Conflict: again"))
    for _ in range(2):
        with pytest.raises(errors.Conflict):
            await mine.reconcile()
        assert condition(mine, "ChangesAccepted") == {}
    await mine.reconcile()
    assert "409 Conflict: again" in condition(mine, "ChangesAccepted")["message"]


async def test_no_instance_restarts_for_a_set_that_the_api_server_refuses(mine: Simulation) -> None:
    former = {pod["metadata"]["uid"] for pod in mine.kubelets.pods.values()}
    mine.settings = OTHER_IMAGE
    mine.start()
    mine.api.refuse = refusing("statefulsets/")
    await passes(mine, 10)
    assert {pod["metadata"]["uid"] for pod in mine.kubelets.pods.values()} == former
    assert condition(mine, "ChangesAccepted")["reason"] == "ApplyRefused"


async def test_no_instance_restarts_before_its_configuration_is_there(mine: Simulation) -> None:
    mine.settings = OTHER_IMAGE
    mine.start()
    await mine.edit(CONFIG_MAPS, "mine-valkey", {"data": {"valkey.conf": "appendonly no"}})
    mine.api.refuse = refusing("configmaps/")
    former = {pod["metadata"]["uid"] for pod in mine.kubelets.pods.values()}
    await passes(mine, 10)
    assert {pod["metadata"]["uid"] for pod in mine.kubelets.pods.values()} == former


async def test_no_answer_at_all_ends_the_pass(mine: Simulation) -> None:
    """Each further write would wait for the API server in vain."""
    del mine.api.objects["networkpolicies", NAMESPACE, "mine-valkey"]
    del mine.api.objects["configmaps", NAMESPACE, "mine-valkey"]
    asked: list[str] = []

    def refuse(call: str) -> BaseException:
        asked.append(call)
        return errors.NoAnswer("no connection")

    mine.api.refuse = refuse
    with pytest.raises(errors.NoAnswer):
        await mine.reconcile()
    assert len(asked) == 1


async def test_without_its_auth_secret_nothing_of_a_storage_comes_into_being() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    simulation.api.refuse = refusing("secrets/")
    for _ in range(5):
        await simulation.reconcile()
    assert simulation.find(STATEFUL_SETS, "mine-valkey-0") is None
    assert (simulation.status["phase"], condition(simulation, "Ready")["reason"]) == ("Failed", "ApplyRefused")
    assert QUOTA in condition(simulation, "Ready")["message"]


# Copies of the connection Secret


@pytest.mark.parametrize("is_deleted", [False, True], ids=["outdated", "gone"])
async def test_a_rotation_goes_on_beside_a_namespace_that_refuses_its_copy(*, is_deleted: bool) -> None:
    """Its consumers keep the password that they run with, and nobody else waits for them."""
    drill = Drill()
    await drill.start()
    simulation = drill.simulation
    if is_deleted:
        del simulation.api.objects["secrets", ELSEWHERE, MIRROR]
    before = copy.deepcopy(simulation.api.objects.get(("secrets", ELSEWHERE, MIRROR)))
    happens = simulation.api.refuse
    simulation.api.refuse = lambda call: errors.Forbidden(QUOTA) if MIRROR in call else happens(call)
    await drill.ask("now")
    for _ in range(40):
        await drill.step()
        simulation.passed += timedelta(seconds=5)
    assert drill.phase == "AwaitConsumers"
    assert simulation.status["rotation"]["consumersDone"] == 1
    assert "its namespace refuses the credential" in condition(simulation, "CredentialRotated")["message"]
    told = condition(simulation, "CredentialCopied")
    assert (told["status"], told["reason"]) == ("False", "CopyRefused")
    assert f"namespace {ELSEWHERE} refuses Secret {MIRROR}: {QUOTA}" in told["message"]
    assert "CopyRefused" in simulation.events
    assert simulation.api.objects.get(("secrets", ELSEWHERE, MIRROR)) == before
    simulation.api.refuse = happens
    simulation.passed += RETRY
    await drill.finish("now")


def stolen(name: str) -> Object:
    """Build a Secret of a tenant that has the labels of a copy."""
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_STORAGE: KEY[1],
        names.LABEL_STORAGE_NAMESPACE: NAMESPACE,
    }
    return {"metadata": {"name": name, "namespace": ELSEWHERE, "labels": labels}, "type": "Opaque", "data": {}}


@pytest.mark.parametrize("name", ["a-first", "zz-last", "other.mine-connection", "team.mine-connection-2"])
async def test_a_secret_with_our_labels_and_another_name_is_no_copy(name: str) -> None:
    drill = Drill()
    await drill.simulation.api.create(SECRETS, stolen(name))
    await drill.start()
    simulation = drill.simulation
    assert simulation.api.objects["secrets", ELSEWHERE, MIRROR]["data"]
    assert simulation.api.objects["secrets", ELSEWHERE, name]["data"] == {}
    with simulation.quiet():
        await simulation.reconcile()


async def test_a_copy_of_a_former_release_loses_the_label_by_which_argo_cd_would_delete_it() -> None:
    drill = Drill()
    await drill.start()
    api = drill.simulation.api
    assert names.LABEL_APP_INSTANCE not in api.objects["secrets", ELSEWHERE, MIRROR]["metadata"]["labels"]
    former = copy.deepcopy(api.objects["secrets", ELSEWHERE, MIRROR])
    former["metadata"]["labels"] |= {names.LABEL_APP_INSTANCE: KEY[1], "team": "one"}
    await api.replace(SECRETS, former)
    await drill.simulation.settle()
    labels = api.objects["secrets", ELSEWHERE, MIRROR]["metadata"]["labels"]
    assert names.LABEL_APP_INSTANCE not in labels
    assert labels["team"] == "one"
    with drill.simulation.quiet():
        await drill.simulation.reconcile()


# Slots for updates


async def test_a_storage_that_gets_nowhere_gives_its_slot_back_and_says_so(mine: Simulation) -> None:
    mine.settings = OTHER_IMAGE
    mine.start()
    await mine.reconcile()
    mine.kubelets.homeless = {0, 1, 2}
    for _ in range(12):
        await mine.reconcile()
        await mine.boot()
    assert not mine.slots.may_take(("team", "other"))
    mine.passed += timedelta(seconds=PATIENCE_SECONDS)
    await passes(mine, 2)
    assert mine.slots.may_take(("team", "other"))
    assert condition(mine, "Updating")["reason"] == "GaveWay"
    mine.kubelets.homeless = set()
    await passes(mine, 2)
    mine.passed += timedelta(seconds=PATIENCE_SECONDS)
    for _ in range(3):
        await mine.settle()
    assert condition(mine, "Updating")["reason"] == "UpToDate"
