from typing import Any

import pytest
import yaml

from deploy.local import addons, images
from deploy.local.profile import AWKWARD, HOUSE, ORDINARY, PROFILES, Profile
from deploy.local.readiness import Workload
from deploy.local.topology import DNS_ADDRESS, DNS_PORT

WORKLOADS = {"Deployment": "deployments", "DaemonSet": "daemonsets"}


def manifests(profile: Profile = ORDINARY) -> dict[tuple[str, str], dict[str, Any]]:
    documents = yaml.safe_load_all(addons.render_manifests(profile))
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def test_dns_serves_at_the_address_that_kubelets_configure_in_pods() -> None:
    assert manifests()["Service", "kube-dns"]["spec"]["clusterIP"] == DNS_ADDRESS


def test_dns_pods_listen_on_a_port_that_needs_no_right_and_the_service_on_53() -> None:
    service = manifests()["Service", "kube-dns"]["spec"]["ports"]
    assert {(each["protocol"], each["port"]) for each in service} == {("UDP", 53), ("TCP", 53)}
    (container,) = manifests()["Deployment", "coredns"]["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each["containerPort"] for each in container["ports"]} == {
        each["targetPort"]: DNS_PORT for each in service
    }
    assert DNS_PORT > 1023
    assert "add" not in container["securityContext"]["capabilities"]
    assert f".:{DNS_PORT} {{" in manifests()["ConfigMap", "coredns"]["data"]["Corefile"]


def test_there_is_one_default_storage_class_and_it_is_standard() -> None:
    classes = [document for (kind, _), document in manifests().items() if kind == "StorageClass"]
    assert [each["metadata"]["name"] for each in classes] == ["standard"]
    assert classes[0]["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_image_is_one_that_is_on_the_nodes(profile: Profile) -> None:
    used = {
        container["image"]
        for (kind, _), document in manifests(profile).items()
        if kind in WORKLOADS
        for container in document["spec"]["template"]["spec"]["containers"]
    }
    helper = yaml.safe_load(manifests(profile)["ConfigMap", "local-path-config"]["data"]["helperPod.yaml"])
    used.add(helper["spec"]["containers"][0]["image"])
    assert used <= set(images.images())


def test_the_variables_of_scripts_are_not_substituted() -> None:
    assert '"$VOL_DIR"' in manifests()["ConfigMap", "local-path-config"]["data"]["setup"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_cluster_waits_for_every_workload_of_the_manifests(profile: Profile) -> None:
    ours = {
        Workload(WORKLOADS[kind], document["metadata"]["namespace"], name)
        for (kind, name), document in manifests(profile).items()
        if kind in WORKLOADS
    }
    assert ours < set(addons.workloads(profile))


def test_on_the_awkward_cluster_no_storage_class_is_the_default_and_dns_servers_are_in_their_nodes_networks() -> None:
    found = manifests(AWKWARD)
    storage_class = found["StorageClass", "fast-ssd"]["metadata"]["annotations"]
    assert storage_class == {"storageclass.kubernetes.io/is-default-class": "false"}
    pod = found["DaemonSet", "coredns"]["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert {port["containerPort"] for port in pod["containers"][0]["ports"]} == {53}
    assert "kubernetes corp.example" in found["ConfigMap", "coredns"]["data"]["Corefile"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_pods_of_the_cluster_itself_tolerate_its_taints(profile: Profile) -> None:
    workloads = [document for (kind, _), document in manifests(profile).items() if kind in WORKLOADS]
    tolerated = [each["spec"]["template"]["spec"].get("tolerations", []) for each in workloads]
    assert all(tolerations == profile.tolerations for tolerations in tolerated)


def test_policies_are_in_force_where_the_labels_of_the_house_are_and_bound() -> None:
    kinds = ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy")
    found = manifests(AWKWARD)
    policies = {key: document for key, document in found.items() if key[0] in kinds}
    assert len(policies) == 4
    for (kind, name), document in policies.items():
        constraints = document["spec"]["matchConstraints"]
        assert constraints["namespaceSelector"] == {"matchLabels": HOUSE.labels}
        assert found[f"{kind}Binding", name]["spec"]["policyName"] == name
    (annotation,) = HOUSE.annotations
    assert f"namespaceObject.metadata.annotations['{annotation}']" in addons.render_manifests(AWKWARD)
    assert not any(kind in kinds for kind, _ in manifests())
