"""The objects of a storage have names, labels, owners and restrictions, and equal what the API server stores."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.manifests import disruption_budget, network_policy, secrets, services, valkey_config
from reconciler.manifests.instance_spec import Image, InstanceSpec
from reconciler.manifests.network_policy import Peers
from reconciler.manifests.pod_template import template_hash
from reconciler.manifests.stateful_set import stateful_set
from reconciler.manifests.storage import Storage
from reconciler.manifests.valkey_pods import ValkeyPods
from reconciler.state.primary_service import IPV4
from shared import names
from shared.objects.resources import Object
from shared.session_storage.sizes import PRESETS, Size
from tests.support.storages import primary

STORAGE = Storage("shared-storage", "team", "uid-1")
PEERS = Peers("session-storage-system", {"app.kubernetes.io/component": "reconciler"})
ZONE = ["topology.kubernetes.io/zone"]
PASSWORDS = {key: passwords.generate() for key in identities.PASSWORD_KEYS}
IMAGE = Image("registry.example/valkey@sha256:abc", "IfNotPresent")


def workload(size: Size) -> Object:
    return stateful_set(STORAGE, instance(size), IMAGE)


def instance(size: Size, *, index: int = 0, is_spread: bool = False) -> InstanceSpec:
    disk = PRESETS[size].disk_gib if PRESETS[size].is_persistent else 0
    return InstanceSpec(STORAGE.name, STORAGE.namespace, index, size, disk, is_spread)


def objects(size: Size) -> dict[str, Object]:
    return {
        "auth": secrets.auth_secret(STORAGE, KeyRing(PASSWORDS)),
        "connection": secrets.connection_secret(STORAGE, PASSWORDS["password"]),
        "config": valkey_config.config_map(STORAGE, 0, range(PRESETS[size].replicas), "10.0.0.9"),
        "policy": network_policy.network_policy(STORAGE, PEERS),
        "workload": workload(size),
        "service": services.primary_service(STORAGE),
        "endpoint-slice": next(services.primary_slices(STORAGE, (IPV4,), primary())),
        "headless": services.headless_service(STORAGE),
        "replicas": services.replicas_service(STORAGE),
        "budget": disruption_budget.primary_budget(STORAGE),
        "budget-of-replicas": disruption_budget.replicas_budget(STORAGE),
    }


ALL = [pytest.param(obj, id=f"{size}-{name}") for size in Size for name, obj in objects(size).items()]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def pod(size: Size) -> Object:
    spec: Object = workload(size)["spec"]["template"]["spec"]
    return spec


def container(size: Size) -> Object:
    (only,) = pod(size)["containers"]
    assert isinstance(only, dict)
    return only


@pytest.mark.parametrize("obj", ALL)
def test_a_child_is_found_by_label_and_goes_with_its_storage(obj: Object) -> None:
    metadata = obj["metadata"]
    assert metadata["namespace"] == "team"
    assert metadata["labels"][names.LABEL_STORAGE] == "shared-storage"
    assert metadata["labels"][names.LABEL_MANAGED_BY] == names.MANAGED_BY
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("SessionStorage", "shared-storage", "uid-1")
    assert owner["controller"]


@pytest.mark.parametrize("obj", ALL)
def test_no_child_bears_the_bare_name_of_the_storage(obj: Object) -> None:
    """ToolHive's operator deletes a StatefulSet that bears an MCPServer's name."""
    assert obj["metadata"]["name"].startswith("shared-storage-")


@pytest.mark.parametrize("obj", ALL)
def test_no_object_has_the_label_toolhive_true_or_the_domain_of_a_cluster(obj: Object) -> None:
    decoded = identities.decoded(obj.get("data")) if obj.get("type") else {}
    text = json.dumps([obj, decoded])
    assert "cluster.local" not in text
    assert '"toolhive"' not in text


@pytest.mark.parametrize("obj", ALL)
def test_no_field_is_null_or_empty_except_those_that_nobody_else_may_fill(obj: Object) -> None:
    dropped = {path for path, value in leaves(obj) if value in (None, "", [], {})}
    container = ".spec.template.spec.containers"
    said = {f"{container}.{field}" for field in ("args", "env", "envFrom")} | {".spec.template.spec.initContainers"}
    assert dropped <= {".spec.egress.to.namespaceSelector"} | said


@pytest.mark.parametrize("obj", ALL)
def test_only_secrets_contain_passwords(obj: Object) -> None:
    if obj.get("type") == "Opaque":
        obj = {key: value for key, value in obj.items() if key != "data"}
    assert not [key for key, password in PASSWORDS.items() if password in json.dumps(obj)]


def test_the_auth_secret_holds_every_password_and_the_acl_file() -> None:
    data = identities.decoded(secrets.auth_secret(STORAGE, KeyRing(PASSWORDS))["data"])
    assert data == PASSWORDS | {"users.acl": identities.users_acl(PASSWORDS)}


def test_the_connection_secret_keeps_the_contract() -> None:
    password = PASSWORDS["password"]
    assert identities.decoded(secrets.connection_secret(STORAGE, password)["data"]) == {
        "REDIS_URL": f"redis://:{password}@shared-storage-valkey.team.svc:6379",
        "REDIS_PASSWORD": password,
        "SESSION_STORAGE_TYPE": "redis",
    }


@pytest.mark.parametrize("size", Size)
def test_a_pod_meets_the_restricted_standard(size: Size) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    spec, only = pod(size), container(size)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"]["allowPrivilegeEscalation"] is False
    assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not [field for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers") if spec.get(field)]
    assert not any("hostPort" in port for port in only["ports"])
    kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
    assert kinds <= {"configMap", "secret", "emptyDir"}


@pytest.mark.parametrize("size", Size)
def test_a_pod_gets_no_more_than_it_needs(size: Size) -> None:
    spec, only = pod(size), container(size)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert only["securityContext"]["readOnlyRootFilesystem"] is True
    (acl,) = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    assert [item["key"] for item in acl["items"]] == ["users.acl", "probe-password", "replication-password"]
    assert acl["defaultMode"] & 0o007 == 0


@pytest.mark.parametrize(
    ("size", "cpu", "memory", "disk"),
    [
        (Size.SMALL, "100m", "256Mi", None),
        (Size.MEDIUM, "250m", "512Mi", "5Gi"),
        (Size.LARGE, "500m", "1Gi", "10Gi"),
    ],
)
def test_resources_are_those_of_the_size_as_the_api_server_writes_them(
    size: Size, cpu: str, memory: str, disk: str | None
) -> None:
    assert container(size)["resources"] == {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
    claims = workload(size)["spec"].get("volumeClaimTemplates", [])
    assert [claim["spec"]["resources"]["requests"]["storage"] for claim in claims] == ([disk] if disk else [])


def test_a_small_storage_has_no_volume_and_a_larger_one_has() -> None:
    assert [volume for volume in pod(Size.SMALL)["volumes"] if volume["name"] == "data"] == [
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}
    ]
    for size in (Size.MEDIUM, Size.LARGE):
        assert [volume for volume in pod(size)["volumes"] if volume["name"] == "data"] == []


@pytest.mark.parametrize("size", [Size.MEDIUM, Size.LARGE])
def test_data_goes_with_the_storage_and_not_with_the_stateful_set(size: Size) -> None:
    spec = workload(size)["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    (owner,) = claim["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("SessionStorage", STORAGE.name, STORAGE.uid)
    assert "persistentVolumeClaimRetentionPolicy" not in spec


@pytest.mark.parametrize("size", Size)
def test_a_mount_has_its_volume(size: Size) -> None:
    claims = [claim["metadata"]["name"] for claim in workload(size)["spec"].get("volumeClaimTemplates", [])]
    volumes = [volume["name"] for volume in pod(size)["volumes"]]
    assert sorted(mount["name"] for mount in container(size)["volumeMounts"]) == sorted(claims + volumes)


@pytest.mark.parametrize("size", Size)
def test_each_stateful_set_has_one_replica_whose_labels_name_the_instance(size: Size) -> None:
    spec = workload(size)["spec"]
    assert spec["replicas"] == 1
    selector = spec["selector"]["matchLabels"]
    assert selector.items() <= spec["template"]["metadata"]["labels"].items()
    assert selector == {names.LABEL_STORAGE: "shared-storage", names.LABEL_INSTANCE: "0"}
    assert spec["serviceName"] == services.headless_service(STORAGE)["metadata"]["name"]


def test_a_probe_takes_its_password_from_a_file() -> None:
    for probe in ("readinessProbe", "livenessProbe"):
        (shell, option, command) = container(Size.SMALL)[probe]["exec"]["command"]
        assert (shell, option) == ("sh", "-c")
        assert re.search(r"/valkey/acl/probe-password", command)
        assert "--user probe" in command
        assert not re.search(r"\s-a\s|--pass", command)


def test_the_service_of_the_primary_leads_where_its_endpoint_slice_says() -> None:
    """Kubernetes' controllers leave alone what somebody else manages, and Services without a selector."""
    service, (endpoint_slice,) = (
        services.primary_service(STORAGE),
        services.primary_slices(STORAGE, (IPV4,), primary(7)),
    )
    assert "selector" not in service["spec"]
    labels = endpoint_slice["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == service["metadata"]["name"] == endpoint_slice["metadata"]["name"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "toolhive-session-storage"
    assert labels[names.LABEL_INSTANCE] == "7"
    assert [port["name"] for port in endpoint_slice["ports"]] == [port["name"] for port in service["spec"]["ports"]]
    ((endpoint),) = endpoint_slice["endpoints"]
    assert (endpoint["addresses"], endpoint["targetRef"]["name"]) == (["10.1.0.8"], "mine-valkey-7-0")


def test_the_headless_service_names_instances_before_they_are_ready() -> None:
    spec = services.headless_service(STORAGE)["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["selector"] == {names.LABEL_STORAGE: "shared-storage"}


def test_the_replicas_service_selects_only_ready_replicas() -> None:
    spec = services.replicas_service(STORAGE)["spec"]
    assert spec["selector"] == {names.LABEL_STORAGE: "shared-storage", names.LABEL_ROLE: "replica"}
    assert "publishNotReadyAddresses" not in spec


def test_at_rest_budgets_let_one_pod_of_each_role_go_so_that_no_node_is_kept_for_ever() -> None:
    """Each role has a budget of its own, because Kubernetes does not evict a pod that two budgets select."""
    of_primary = disruption_budget.primary_budget(STORAGE)["spec"]
    of_replicas = disruption_budget.replicas_budget(STORAGE)["spec"]
    assert (of_primary["minAvailable"], of_replicas["maxUnavailable"]) == (0, 1)
    selectors = [spec["selector"]["matchLabels"][names.LABEL_ROLE] for spec in (of_primary, of_replicas)]
    assert selectors == ["primary", "replica"]


def test_no_eviction_takes_a_primary_that_is_about_to_move() -> None:
    assert disruption_budget.primary_budget(STORAGE, is_held=True)["spec"]["minAvailable"] == 1


def test_a_primary_that_is_not_ready_yet_is_only_evicted_if_it_is_known_not_to_serve() -> None:
    serving, away = (disruption_budget.primary_budget(STORAGE, is_out_of_service=is_out) for is_out in (False, True))
    policies = [budget["spec"]["unhealthyPodEvictionPolicy"] for budget in (serving, away)]
    assert policies == ["IfHealthyBudget", "AlwaysAllow"]


def test_only_the_reconciler_replaces_a_pod() -> None:
    spec = workload(Size.LARGE)["spec"]
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert spec["podManagementPolicy"] == "Parallel"


def placed(size: Size, *, is_spread: bool) -> Object:
    """Return the spec of a pod."""
    made: Object = stateful_set(STORAGE, instance(size, is_spread=is_spread), IMAGE)
    spec: Object = made["spec"]["template"]["spec"]
    return spec


def test_instances_of_a_redundant_storage_must_be_spread_over_the_nodes_that_take_them() -> None:
    """A node counts only if the pod tolerates its taints: two workers beside a control plane take all three."""
    mine = {"labelSelector": {"matchLabels": {names.LABEL_STORAGE: "shared-storage"}}}
    (constraint,) = placed(Size.LARGE, is_spread=True)["topologySpreadConstraints"]
    assert constraint == mine | {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
    }
    assert "topologySpreadConstraints" not in placed(Size.LARGE, is_spread=False)
    assert not {"topologySpreadConstraints", "affinity"} & placed(Size.MEDIUM, is_spread=True).keys()


@pytest.mark.parametrize("is_spread", [True, False])
def test_instances_of_a_redundant_storage_prefer_nodes_and_zones_of_their_own(*, is_spread: bool) -> None:
    """A required anti-affinity would keep others away from the pods that have it, even once it is lifted."""
    affinity = placed(Size.LARGE, is_spread=is_spread)["affinity"]["podAntiAffinity"]
    (wanted,) = affinity.values()
    assert [term["podAffinityTerm"]["topologyKey"] for term in wanted] == ["kubernetes.io/hostname", *ZONE]


@pytest.mark.parametrize("size", Size)
def test_whether_an_instance_may_share_a_node_changes_no_running_pod(size: Size) -> None:
    spread, free = (stateful_set(STORAGE, instance(size, is_spread=is_spread), IMAGE) for is_spread in (True, False))
    assert template_hash(spread) == template_hash(free)


@pytest.mark.parametrize("size", Size)
def test_instances_run_on_linux_alone(size: Size) -> None:
    assert placed(size, is_spread=True)["nodeSelector"] == {"kubernetes.io/os": "linux"}


@pytest.mark.parametrize("size", Size)
def test_cluster_autoscaler_may_remove_the_node_of_every_instance(size: Size) -> None:
    made = stateful_set(STORAGE, instance(size), IMAGE)
    annotation = made["spec"]["template"]["metadata"]["annotations"].get(
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
    )
    assert annotation == ("live-acl,data" if size is Size.SMALL else "live-acl")


def test_a_priority_class_is_set_if_there_is_one() -> None:
    made = stateful_set(STORAGE, instance(Size.LARGE), IMAGE, ValkeyPods(priority_class_name="important"))
    assert made["spec"]["template"]["spec"]["priorityClassName"] == "important"
    assert "priorityClassName" not in pod(Size.LARGE)


def test_a_pod_has_the_label_of_its_size_too() -> None:
    """The StatefulSet has the desired size, the pod the running one."""
    for size in Size:
        made = workload(size)
        labels = made["metadata"]["labels"], made["spec"]["template"]["metadata"]["labels"]
        assert [each[names.LABEL_SIZE] for each in labels] == [size, size]


def hash_of(size: Size, image: Image = IMAGE, priority_class: str = "") -> str:
    pods = ValkeyPods(priority_class_name=priority_class)
    return template_hash(stateful_set(STORAGE, instance(size), image, pods))


def test_a_pod_has_the_hash_of_its_template(monkeypatch: pytest.MonkeyPatch) -> None:
    made = workload(Size.LARGE)
    assert template_hash(made) == template_hash(made["spec"]["template"]) == hash_of(Size.LARGE)
    assert template_hash({"metadata": {}}) == ""
    hashes = [hash_of(size) for size in Size]
    hashes += [hash_of(Size.LARGE, Image("registry.example/valkey:10", "IfNotPresent"))]
    hashes += [hash_of(Size.LARGE, priority_class="important")]
    monkeypatch.setattr(identities, "rules", lambda: "other rights")
    hashes += [hash_of(Size.LARGE)]
    monkeypatch.setattr(valkey_config, "valkey_conf", lambda: "another configuration")
    hashes += [hash_of(Size.LARGE)]
    assert len(set(hashes)) == len(hashes)


def test_a_change_of_the_topology_files_makes_no_pod_outdated() -> None:
    """The hash of a pod's template covers the configuration alone."""
    before = valkey_config.config_map(STORAGE, 0, [0], "x.team.svc")
    after = valkey_config.config_map(STORAGE, 1, [0, 1], "10.0.0.9")
    assert before["data"]["valkey.conf"] == after["data"]["valkey.conf"]
    assert {name: text for name, text in after["data"].items() if name != "valkey.conf"} == {
        "primary": "1",
        "nodes": "0 1",
        "upstream": "10.0.0.9",
        "eviction": "allkeys-lru",
    }


def test_the_policy_admits_only_consumers_instances_and_the_reconciler() -> None:
    spec = network_policy.network_policy(STORAGE, PEERS)["spec"]
    assert spec["podSelector"] == {"matchLabels": {names.LABEL_STORAGE: "shared-storage"}}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 6379}]
    kinds = ["mcpserver", "mcpremoteproxy", "virtualmcpserver"]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": {names.LABEL_COMPONENT: "proxy"}}},
        {"podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": kinds}]}},
        {"podSelector": {"matchLabels": {names.LABEL_CONSUMER_OF: "shared-storage"}}},
        {"podSelector": {"matchLabels": {names.LABEL_STORAGE: "shared-storage"}}},
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "session-storage-system"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "reconciler"}},
        },
    ]
    peers, _ = spec["egress"]
    assert peers == {
        "to": [{"podSelector": {"matchLabels": {names.LABEL_STORAGE: "shared-storage"}}}],
        "ports": rule["ports"],
    }


def test_instances_may_ask_dns_wherever_it_answers() -> None:
    """Without `to`: the cluster's DNS may be a pod, the node itself, or a server outside the cluster."""
    _, dns = network_policy.network_policy(STORAGE, PEERS)["spec"]["egress"]
    assert dns == {
        "ports": [{"protocol": protocol, "port": port} for port in (53, 5353) for protocol in ("UDP", "TCP")]
    }


@pytest.mark.parametrize("name", ["a", "x" * names.MAX_STORAGE_NAME])
def test_the_longest_name_still_fits_every_object(name: str) -> None:
    derived = [
        names.auth_secret(name),
        names.connection_secret(name),
        names.valkey(name),
        names.valkey_headless(name),
        names.valkey_replicas(name),
        names.valkey_budget(name, "primary"),
        names.valkey_budget(name, "replica"),
        names.valkey_instance(name, 99),
    ]
    assert len(set(derived)) == len(derived)
    for each in derived:
        assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", each)
        assert len(each) <= 63
    # controller-revision-hash: a StatefulSet's name, and up to 11 characters.
    assert len(names.valkey_instance(name, 99)) + 11 <= 63


def test_the_name_of_a_mirrored_secret_never_equals_that_of_a_local_one() -> None:
    assert names.mirrored_connection_secret("b", "a") != names.connection_secret("a-b")
    assert "." in names.mirrored_connection_secret("b", "a")
