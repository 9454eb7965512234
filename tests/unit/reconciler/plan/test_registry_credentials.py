"""Registry credentials stand beside each storage, follow their sources, and go when no pod is to name them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.manifests.valkey_pods import ValkeyPods
from shared import errors, names
from shared.objects.resources import CONFIG_MAPS, SECRETS, STATEFUL_SETS, Object
from tests.support.simulated import NAMESPACE, SETTINGS, Simulation

COPY = "mine.pull.regcred"
DOCKER = "kubernetes.io/dockerconfigjson"


def named(*sources: str) -> ValkeyPods:
    return ValkeyPods.model_validate({"imagePullSecrets": [{"name": source} for source in sources]})


def source(content: str = "e30=", kind: str = DOCKER, name: str = "regcred") -> Object:
    key = ".dockerconfigjson" if kind == DOCKER else ".dockercfg"
    return {"metadata": {"name": name, "namespace": "ours", "labels": {"a": "b"}}, "type": kind, "data": {key: content}}


async def started(*sources: str, **found: Object) -> Simulation:
    simulation = Simulation(replace(SETTINGS, pods=named(*sources)))
    simulation.pull_secrets = dict(found)
    await simulation.ask_for(size="small")
    await simulation.settle()
    return simulation


def copies(simulation: Simulation) -> dict[str, Object]:
    return {
        name: obj
        for (plural, _, name), obj in simulation.api.objects.items()
        if plural == SECRETS.plural and ".pull." in name
    }


async def test_a_storage_has_a_copy_of_its_own_from_its_first_pod_on() -> None:
    simulation = await started("regcred", regcred=source())
    (copy,) = copies(simulation).values()
    assert (copy["type"], copy["data"]) == (DOCKER, {".dockerconfigjson": "e30="})
    assert copy["metadata"]["ownerReferences"][0]["name"] == "mine"
    assert copy["metadata"]["labels"][names.LABEL_MANAGED_BY] == names.MANAGED_BY
    assert "a" not in copy["metadata"]["labels"]
    writes = simulation.api.writes
    assert writes.index(f"apply secrets/{COPY}") < writes.index("apply statefulsets/mine-valkey-0")
    (pod,) = simulation.kubelets.pods.values()
    assert pod["spec"]["imagePullSecrets"] == [{"name": COPY}]


@pytest.mark.parametrize("kind", [DOCKER, "kubernetes.io/dockercfg"])
async def test_a_copy_takes_nothing_along_but_what_kubelet_reads(kind: str) -> None:
    """Tenants may read the copies in their namespaces, and whoever installs the product may keep more in the source."""
    credentials = source(kind=kind)
    more = {**credentials, "data": {**credentials["data"], "token": "eA=="}}
    (copy,) = copies(await started("regcred", regcred=more)).values()
    assert copy["data"] == credentials["data"]


async def test_a_copy_follows_its_source_and_no_pod_restarts() -> None:
    simulation = await started("regcred", regcred=source())
    before = dict(simulation.kubelets.pods)
    simulation.pull_secrets["regcred"] = source("bmV3")
    await simulation.settle()
    assert copies(simulation)[COPY]["data"] == {".dockerconfigjson": "bmV3"}
    assert simulation.kubelets.pods == before


async def test_a_copy_that_somebody_changed_or_deleted_is_put_right() -> None:
    simulation = await started("regcred", regcred=source())
    await simulation.edit(SECRETS, COPY, {"data": {".dockerconfigjson": "eA==", "more": "eA=="}})
    await simulation.settle()
    assert copies(simulation)[COPY]["data"] == {".dockerconfigjson": "e30="}
    await simulation.api.delete(SECRETS, NAMESPACE, COPY)
    await simulation.settle()
    assert copies(simulation)[COPY]["data"] == {".dockerconfigjson": "e30="}


async def test_a_copy_stays_while_its_source_is_gone_because_pods_that_start_need_it() -> None:
    simulation = await started("regcred", regcred=source())
    simulation.pull_secrets = {}
    with simulation.quiet():
        await simulation.reconcile()
    assert list(copies(simulation)) == [COPY]


async def test_a_source_that_does_not_exist_yet_holds_nothing_up() -> None:
    simulation = await started("regcred")
    assert simulation.status["phase"] == "Ready"
    assert copies(simulation) == {}
    simulation.pull_secrets = {"regcred": source()}
    await simulation.settle()
    assert list(copies(simulation)) == [COPY]


async def test_a_copy_that_no_pod_is_to_name_goes() -> None:
    simulation = await started("regcred", "mirror", regcred=source(), mirror=source(name="mirror"))
    assert sorted(copies(simulation)) == ["mine.pull.mirror", COPY]
    simulation.settings = replace(SETTINGS, pods=named("mirror"))
    simulation.start()
    await simulation.settle()
    assert list(copies(simulation)) == ["mine.pull.mirror"]
    simulation.settings = SETTINGS
    simulation.start()
    await simulation.settle()
    assert copies(simulation) == {}
    assert not simulation.children[STATEFUL_SETS.plural, "mine-valkey-0"]["spec"]["template"]["spec"].get(
        "imagePullSecrets"
    )


async def test_a_source_of_another_type_makes_another_copy_because_no_secret_changes_its_type() -> None:
    simulation = await started("regcred", regcred=source())
    simulation.pull_secrets = {"regcred": source(kind="kubernetes.io/dockercfg")}
    await simulation.settle()
    assert copies(simulation)[COPY]["type"] == "kubernetes.io/dockercfg"
    assert simulation.status["phase"] == "Ready"


async def test_somebody_elses_secret_of_that_name_is_left_alone() -> None:
    simulation = Simulation(replace(SETTINGS, pods=named("regcred")))
    simulation.pull_secrets = {"regcred": source()}
    theirs: Object = {"metadata": {"name": COPY, "namespace": NAMESPACE}, "data": {"x": "eA=="}}
    await simulation.api.create(SECRETS, theirs)
    await simulation.ask_for(size="small")
    await simulation.reconcile()
    assert copies(simulation)[COPY]["data"] == {"x": "eA=="}
    assert COPY in simulation.status["message"]


async def test_a_namespace_that_refuses_the_copy_keeps_nothing_else_from_its_storage() -> None:
    simulation = Simulation(replace(SETTINGS, pods=named("regcred")))
    simulation.pull_secrets = {"regcred": source()}
    simulation.api.refuse = lambda write: errors.Rejected("422 no") if write.endswith(COPY) else None
    await simulation.ask_for(size="small")
    await simulation.settle()
    assert copies(simulation) == {}
    assert simulation.find(CONFIG_MAPS, "mine-valkey") is not None
    found = {each["type"]: each for each in simulation.status["conditions"]}
    assert f"Secret {COPY}: 422 no" in found["ChangesAccepted"]["message"]
    assert found["Ready"]["status"] == "True"


@pytest.mark.parametrize("storage", ["a", "a-pull", "pull"])
def test_no_copy_has_the_name_of_another_secret_of_the_product(storage: str) -> None:
    others = {
        names.auth_secret(storage),
        names.connection_secret(storage),
        *(names.mirrored_connection_secret(storage, namespace) for namespace in ("a", "pull", "a-pull")),
    }
    copies_of = {names.pull_secret("a", name) for name in ("x", "x-auth", "x-connection", "a.pull.x")}
    assert not others & copies_of
    assert not [name for name in others if any(names.is_pull_secret(each, name) for each in ("a", "a-pull", "pull"))]
