from typing import Any

import yaml

from deploy.local import addons, images
from deploy.local.topology import DNS_ADDRESS, DNS_PORT


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    documents = yaml.safe_load_all(addons.render_manifests())
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


def test_every_image_is_one_that_is_on_the_nodes() -> None:
    used = {
        container["image"]
        for (kind, _), document in manifests().items()
        if kind == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
    }
    helper = yaml.safe_load(manifests()["ConfigMap", "local-path-config"]["data"]["helperPod.yaml"])
    used.add(helper["spec"]["containers"][0]["image"])
    assert used <= set(images.images())


def test_the_variables_of_scripts_are_not_substituted() -> None:
    assert '"$VOL_DIR"' in manifests()["ConfigMap", "local-path-config"]["data"]["setup"]


def test_the_cluster_waits_for_every_deployment_of_the_manifests() -> None:
    ours = {
        (document["metadata"]["namespace"], name)
        for (kind, name), document in manifests().items()
        if kind == "Deployment"
    }
    assert ours < set(addons.DEPLOYMENTS)
