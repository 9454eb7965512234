"""What a platform team says of Valkey's pods is in each of them, and what the product needs stays."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.credentials.key_ring import KeyRing
from reconciler.credentials.login import Credentials
from reconciler.manifests import secrets
from reconciler.manifests.instance_spec import Image, InstanceSpec
from reconciler.manifests.pod_template import placement_hash, template_hash
from reconciler.manifests.stateful_set import stateful_set
from reconciler.manifests.storage import Inherited, Storage
from reconciler.manifests.valkey_pods import UserIds, ValkeyPods
from shared import names
from shared.objects.resources import Object
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.size_settings import parse_sizes
from shared.session_storage.sizes import DEFAULT_SIZES, Size, Sizes

IMAGE = Image("registry.example/valkey:9", "IfNotPresent")
STORAGE = Storage("mine", "team", "uid-1")
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def made(
    size: Size = Size.LARGE,
    *,
    storage: Storage = STORAGE,
    sizes: Sizes = DEFAULT_SIZES,
    storage_class: str = "",
    is_spread: bool = False,
    **said: Any,
) -> Object:
    """Build the StatefulSet of an instance as an installation with these values has it."""
    instance = InstanceSpec("mine", "team", 0, size, sizes.of(size).volume_gib, is_spread, sizes, storage_class)
    return stateful_set(storage, instance, IMAGE, ValkeyPods.model_validate(said))


def pod(size: Size = Size.LARGE, **said: Any) -> Object:
    spec: Object = made(size, **said)["spec"]["template"]["spec"]
    return spec


def metadata(**said: Any) -> Object:
    found: Object = made(**said)["spec"]["template"]["metadata"]
    return found


def scheduling(**rules: Any) -> Object:
    return {"scheduling": rules}


def test_pods_have_the_node_selector_and_run_on_linux_all_the_same() -> None:
    spec = pod(**scheduling(nodeSelector={"pool": "stateful", "kubernetes.io/os": "windows"}))
    assert spec["nodeSelector"] == {"pool": "stateful", "kubernetes.io/os": "linux"}


def test_pods_have_the_tolerations_as_the_api_server_stores_them() -> None:
    said = [{"key": "pool", "operator": "Equal", "value": "", "effect": "NoSchedule"}, {"operator": "Exists"}]
    spec = pod(**scheduling(tolerations=said))
    assert spec["tolerations"] == [{"key": "pool", "operator": "Equal", "effect": "NoSchedule"}, {"operator": "Exists"}]
    assert "tolerations" not in pod()


def test_the_affinity_is_added_to_the_preferences_by_which_instances_keep_apart() -> None:
    term = {"weight": 7, "podAffinityTerm": {"topologyKey": "rack", "labelSelector": {"matchLabels": {"a": "b"}}}}
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
    needed = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    rules = scheduling(affinity={"nodeAffinity": needed, "podAntiAffinity": {PREFERRED: [term]}})
    own = pod()["affinity"]["podAntiAffinity"][PREFERRED]
    assert len(own) == 2
    assert pod(**rules)["affinity"] == {"nodeAffinity": needed, "podAntiAffinity": {PREFERRED: [term, *own]}}
    assert pod(Size.SMALL, **rules)["affinity"] == {"nodeAffinity": needed, "podAntiAffinity": {PREFERRED: [term]}}
    assert "affinity" not in pod(Size.SMALL)


def test_pods_name_the_copies_of_registry_credentials_beside_them() -> None:
    spec = pod(imagePullSecrets=[{"name": "regcred"}, {"name": "mirror"}, {"name": "regcred"}])
    assert spec["imagePullSecrets"] == [{"name": "mine.pull.regcred"}, {"name": "mine.pull.mirror"}]
    assert "imagePullSecrets" not in pod()


def test_pods_have_the_labels_and_annotations_but_the_products_own_win() -> None:
    taken = {"app.kubernetes.io/name": "other", "cost": "42"}
    found = metadata(podLabels=taken, podAnnotations={"note": "x"})
    assert found["labels"]["cost"] == "42"
    assert found["labels"]["app.kubernetes.io/name"] == "valkey"
    assert found["annotations"]["note"] == "x"
    selector = made(podLabels=taken)["spec"]["selector"]["matchLabels"]
    assert selector.items() <= found["labels"].items()


ORDERS = (
    *("sidecar.istio.io/inject", "istio.io/rev", "istio.io/dataplane-mode", "kuma.io/sidecar-injection"),
    *("azure.workload.identity/use", "azure.workload.identity/inject-proxy-sidecar", "linkerd.io/inject"),
    *("instrumentation.opentelemetry.io/inject-sdk", "vault.hashicorp.com/agent-inject", "k8s.v1.cni.cncf.io/networks"),
    *("admission.datadoghq.com/enabled", "replicator.v1.mittwald.de/replicate-to"),
    "reflector.v1.k8s.emberstack.com/reflection-allowed",
)
"""Names by which people tell other controllers to put a container into a pod, or to copy a Secret."""
OBEDIENT = Storage(
    "mine",
    "team",
    "uid-1",
    Inherited(
        {**dict.fromkeys(ORDERS, "true"), "team": "a", "app.kubernetes.io/part-of": "shop"},
        {**dict.fromkeys(ORDERS, "true"), "note": "x"},
    ),
)


def test_a_tenant_gives_no_order_to_other_controllers_by_what_pods_inherit() -> None:
    found = metadata(storage=OBEDIENT)
    assert not set(ORDERS) & {*found["labels"], *found["annotations"]}
    assert (found["labels"]["team"], found["labels"]["app.kubernetes.io/part-of"]) == ("a", "shop")
    assert found["annotations"].keys() == metadata()["annotations"].keys()


def test_a_tenant_gives_no_order_to_other_controllers_by_what_secrets_inherit() -> None:
    """Whoever may write storages need not be allowed to read their passwords."""
    source: Object = {"metadata": {"name": "regcred"}, "type": "kubernetes.io/dockerconfigjson"}
    login = Credentials("", "p" * 32)
    for made in (
        secrets.auth_secret(OBEDIENT, KeyRing(), {"ours": "x"}),
        secrets.connection_secret(OBEDIENT, "p" * 32),
        secrets.external_connection_secret(OBEDIENT, Endpoint("h", 6379, 0, is_tls=False), login),
        secrets.kept_connection_secret(OBEDIENT, {"data": {}}),
        secrets.pull_secret(OBEDIENT, source),
    ):
        found = made["metadata"]
        assert not set(ORDERS) & {*found["labels"], *found["annotations"]}
        assert (found["labels"]["team"], found["labels"]["app.kubernetes.io/part-of"]) == ("a", "shop")
        assert found["annotations"].keys() - {"ours"} == {names.ANNOTATION_INHERITED}


def test_what_a_storage_inherits_gives_way_to_what_the_platform_team_says() -> None:
    inherited = Storage("mine", "team", "uid-1", Inherited({"cost": "mine", "team": "a"}))
    found = metadata(storage=inherited, podLabels={"cost": "theirs"})
    assert (found["labels"]["cost"], found["labels"]["team"]) == ("theirs", "a")


def test_what_pods_do_not_inherit_replaces_none() -> None:
    noted = Storage("mine", "team", "uid-1", Inherited({"example.com/team": "a"}, {"note": "x"}))
    assert template_hash(made(storage=noted)) == template_hash(made())


def test_a_cpu_limit_stands_beside_the_memory_limit() -> None:
    def limits(**said: Any) -> Object:
        found: Object = pod(**said)["containers"][0]["resources"]["limits"]
        return found

    assert limits(cpuLimit="1.5") == {"memory": "1Gi", "cpu": "1500m"}
    assert limits(cpuLimit=2) == {"memory": "1Gi", "cpu": "2"}
    assert limits(cpuLimit="") == limits() == {"memory": "1Gi"}


@pytest.mark.parametrize("ids", UserIds)
def test_ids_are_the_images_unless_the_cluster_chooses_them(ids: UserIds) -> None:
    context = pod(userIds=ids)["securityContext"]
    named = {field for field in ("runAsUser", "runAsGroup", "fsGroup") if field in context}
    assert named == (set() if ids is UserIds.CLUSTER else {"runAsUser", "runAsGroup", "fsGroup"})
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_who_chooses_the_ids_is_found_out_unless_it_was_said() -> None:
    assert ValkeyPods().on_cluster(assigns_ids=True).user_ids is UserIds.CLUSTER
    assert ValkeyPods().on_cluster(assigns_ids=False).user_ids is UserIds.IMAGE
    for said in (UserIds.IMAGE, UserIds.CLUSTER):
        for assigns in (True, False):
            assert ValkeyPods(user_ids=said).on_cluster(assigns_ids=assigns).user_ids is said


def test_fields_of_the_security_context_go_before_the_products() -> None:
    said = {"runAsUser": 1000650000, "fsGroup": 1000650000, "supplementalGroups": [7]}
    context = pod(podSecurityContext=said)["securityContext"]
    assert said.items() <= context.items()
    assert (context["runAsGroup"], context["runAsNonRoot"]) == (999, True)


def test_disks_have_the_storage_class_that_was_named_and_else_none() -> None:
    (claim,) = made(storage_class="fast")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    (plain,) = made()["spec"]["volumeClaimTemplates"]
    assert "storageClassName" not in plain["spec"]


def test_the_figures_of_a_size_reach_every_part_of_its_pod() -> None:
    sizes = parse_sizes('{"small":{"memory":"2Gi","cpu":"1","disk":"3Gi","replicas":3}}')
    spec = pod(Size.SMALL, sizes=sizes, is_spread=True)
    only = spec["containers"][0]
    assert only["resources"]["requests"] == {"cpu": "1", "memory": "2Gi"}
    assert f"'maxmemory {2048 * 1024 * 1024 * 60 // 100}'" in only["command"][2]
    assert "'min-replicas-to-write 1'" in only["command"][2]
    assert {"name": "data", "emptyDir": {"sizeLimit": "3Gi"}} in spec["volumes"]
    assert spec["topologySpreadConstraints"]
    assert metadata(size=Size.SMALL, sizes=sizes)["annotations"][names.ANNOTATION_INSTANCES] == "3"


NEEDING_A_NEW_POD: list[Object] = [
    {"podLabels": {"a": "b"}},
    {"podAnnotations": {"a": "b"}},
    {"cpuLimit": "2"},
    {"userIds": "cluster"},
    {"podSecurityContext": {"fsGroup": 7}},
    {"priorityClassName": "high"},
    {"storage": Storage("mine", "team", "uid-1", Inherited({"team": "a"}))},
    {"sizes": parse_sizes('{"large":{"memory":"2Gi"}}')},
]
FOR_THE_NEXT_POD: list[Object] = [
    scheduling(nodeSelector={"pool": "stateful"}),
    scheduling(tolerations=[{"operator": "Exists"}]),
    scheduling(affinity={"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}]}}),
    {"imagePullSecrets": [{"name": "regcred"}]},
]


@pytest.mark.parametrize("said", NEEDING_A_NEW_POD, ids=lambda said: next(iter(said)))
def test_what_changes_the_pod_makes_the_running_one_outdated(said: Object) -> None:
    assert template_hash(made(**said)) != template_hash(made())
    assert placement_hash(made(**said)) == placement_hash(made())


@pytest.mark.parametrize("said", FOR_THE_NEXT_POD, ids=str)
def test_what_decides_where_the_next_pod_goes_leaves_the_running_one_alone(said: Object) -> None:
    assert template_hash(made(**said)) == template_hash(made())
    assert placement_hash(made(**said)) != placement_hash(made())


def test_a_class_for_new_disks_changes_nothing_of_pods() -> None:
    assert template_hash(made(storage_class="fast", storageClassName="fast")) == template_hash(made())
