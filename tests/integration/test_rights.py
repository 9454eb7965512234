"""What somebody can do with the token of the reconciler's service account, on a real API server.

The other tests run the reconciler under the same policies, so they show that these keep it from nothing that it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared import names
from shared.names import LABEL_MANAGED_BY, LABEL_STORAGE, MANAGED_BY
from shared.objects.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    MCP_SERVERS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
)
from tests.integration.consumers import RESOURCES, change, change_is_refused, consumer
from tests.integration.control_plane import Kubectl
from tests.integration.installation import NAMESPACE, RELEASE
from tests.integration.processes import eventually
from tests.rules.rule import auth_config, virtual_server

ACCOUNT = f"--as=system:serviceaccount:{NAMESPACE}:{RELEASE}-reconciler"
DRY_RUN = "--dry-run=server"
OURS = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_STORAGE: "mine"}
NOT_OURS = "may write nothing but the objects of storages"
CONTAINER = {"name": "valkey", "image": "valkey"}
PLACE = "rights"


def made(kind: str, labels: Any = None, *, api: str = "v1", name: str = "mine-valkey", **content: Any) -> Object:
    metadata = {"name": name, "namespace": PLACE, "labels": OURS if labels is None else labels}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}


def secret(labels: Any = None, **content: Any) -> Object:
    return made("Secret", labels, name="mine-auth", **{"type": "Opaque", **content})


def stateful_set(labels: Any = None, container: Any = CONTAINER, **pod: Any) -> Object:
    template = {"metadata": {"labels": OURS}, "spec": {"containers": [container], **pod}}
    spec = {"serviceName": "mine", "selector": {"matchLabels": OURS}, "replicas": 0, "template": template}
    return made("StatefulSet", labels, api="apps/v1", name="mine-valkey-0", spec=spec)


def service(labels: Any = None, **spec: Any) -> Object:
    return made("Service", labels, spec={"ports": [{"port": 6379}], **spec})


def endpoint_slice(of: str) -> Object:
    labels = {**OURS, "kubernetes.io/service-name": of}
    return made("EndpointSlice", labels, api="discovery.k8s.io/v1", addressType="IPv4", endpoints=[], ports=[])


def network_policy(selected: Any) -> Object:
    return made("NetworkPolicy", api="networking.k8s.io/v1", spec={"podSelector": selected, "ingress": [{}]})


def budget(selected: Any) -> Object:
    return made("PodDisruptionBudget", api="policy/v1", spec={"minAvailable": 1, "selector": selected})


def deployment(**container: Any) -> Object:
    labels = {"app": "users"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "users", **container}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return made("Deployment", labels, api="apps/v1", name="users", spec=spec)


def pod(labels: Any) -> Object:
    return made("Pod", labels, name="users", spec={"containers": [{"name": "a", "image": "users"}]})


OF_USERS = (
    secret({}, data={}) | {"metadata": {"name": "users", "namespace": PLACE}},
    made("ConfigMap", {}, name="users"),
    service({}) | {"metadata": {"name": "users", "namespace": PLACE}},
    stateful_set({}) | {"metadata": {"name": "users", "namespace": PLACE}},
    pod({}),
    deployment(),
)


@pytest.fixture(scope="module", autouse=True)
def _place(chart: list[Object], kubectl: Kubectl) -> Iterator[None]:
    """Give users objects of their own, and wait until API servers ask the policies."""
    kubectl("create", "namespace", PLACE)
    kubectl.api.apply(*OF_USERS)
    kubectl.api.create(consumer("MCPServer", PLACE))
    eventually(lambda: NOT_OURS in kubectl.api.refusal(secret({}), DRY_RUN, ACCOUNT), what="the policies hold")
    yield
    kubectl("delete", "namespace", PLACE, "--wait=false")


@pytest.mark.parametrize(
    "obj",
    [
        secret(),
        secret(type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""}),
        secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "e30="}),
        made("ConfigMap"),
        service(),
        stateful_set(),
        stateful_set(serviceAccountName="default", automountServiceAccountToken=False),
        endpoint_slice("mine-valkey"),
        network_policy({"matchLabels": {LABEL_STORAGE: "mine"}}),
        budget({"matchLabels": {LABEL_STORAGE: "mine"}}),
    ],
    ids=lambda obj: obj["kind"],
)
def test_the_objects_of_a_storage_may_be_made(kubectl: Kubectl, obj: Object) -> None:
    assert kubectl.api.create(obj, DRY_RUN, ACCOUNT)


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        pytest.param(secret({}), NOT_OURS, id="a Secret without the label"),
        pytest.param(
            secret(
                type="kubernetes.io/service-account-token",
                metadata={
                    **secret()["metadata"],
                    "annotations": {"kubernetes.io/service-account.name": "default"},
                },
            ),
            "no Secrets but of the types",
            id="the token of any service account",
        ),
        pytest.param(made("ConfigMap", {}), NOT_OURS, id="a ConfigMap without the label"),
        pytest.param(stateful_set(serviceAccountName="admin"), "no service account", id="a service account"),
        pytest.param(stateful_set(hostNetwork=True), "nothing of the node", id="the node's network"),
        pytest.param(stateful_set(hostPID=True), "nothing of the node", id="the node's processes"),
        pytest.param(
            stateful_set(volumes=[{"name": "root", "hostPath": {"path": "/"}}]), "nothing of the node", id="its disk"
        ),
        pytest.param(
            stateful_set(container={**CONTAINER, "securityContext": {"privileged": True}}), "privileges", id="root"
        ),
        pytest.param(
            stateful_set(initContainers=[{**CONTAINER, "name": "first", "securityContext": {"privileged": True}}]),
            "privileges",
            id="root before the start",
        ),
        pytest.param(service(externalIPs=["192.0.2.1"]), "no Service to the outside", id="an address of others"),
        pytest.param(service(type="LoadBalancer"), "no Service to the outside", id="a load balancer"),
        pytest.param(endpoint_slice("users"), "lead clients nowhere", id="the clients of another Service"),
        pytest.param(network_policy({}), "no pods but those of a storage", id="all pods opened"),
        pytest.param(
            network_policy({"matchLabels": {"app": "users"}}), "no pods but those of a storage", id="others opened"
        ),
        pytest.param(budget({"matchLabels": {"app": "users"}}), "no pods but those of a storage", id="others held"),
    ],
)
def test_no_other_object_may_be_made(kubectl: Kubectl, obj: Object, says: str) -> None:
    assert says in kubectl.api.refusal(obj, DRY_RUN, ACCOUNT)


@pytest.mark.parametrize("resource", [SECRETS, CONFIG_MAPS, SERVICES, STATEFUL_SETS], ids=lambda each: each.kind)
def test_no_object_of_a_user_may_be_changed_or_taken_over(kubectl: Kubectl, resource: Any) -> None:
    for patch in ({"metadata": {"annotations": {"a": "b"}}}, {"metadata": {"labels": OURS}}):
        assert NOT_OURS in kubectl.api.change_refusal(resource, PLACE, "users", patch, DRY_RUN, ACCOUNT)


@pytest.mark.parametrize("resource", [SECRETS, SERVICES, STATEFUL_SETS, PODS], ids=lambda each: each.kind)
def test_no_object_of_a_user_may_be_deleted(kubectl: Kubectl, resource: Any) -> None:
    assert NOT_OURS in kubectl.api.delete_refusal(resource, PLACE, "users", ACCOUNT)


def test_no_pod_of_a_user_may_be_changed(kubectl: Kubectl) -> None:
    patch = {"metadata": {"labels": {names.LABEL_ROLE: "primary"}}}
    assert NOT_OURS in kubectl.api.change_refusal(PODS, PLACE, "users", patch, DRY_RUN, ACCOUNT)


def test_the_label_may_not_be_taken_from_an_object_of_a_storage(kubectl: Kubectl) -> None:
    kubectl.api.create(secret())
    patch = {"metadata": {"labels": {LABEL_MANAGED_BY: None}}}
    assert NOT_OURS in kubectl.api.change_refusal(SECRETS, PLACE, "mine-auth", patch, DRY_RUN, ACCOUNT)


def test_a_child_without_its_label_is_still_ours_by_its_owner(kubectl: Kubectl) -> None:
    owner = {"apiVersion": "toolhive.stacklok.dev/v1alpha1", "kind": "SessionStorage", "name": "mine", "uid": "1"}
    child = made("ConfigMap", {}, name="orphan")
    child["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    # The owner does not exist, so Kubernetes' garbage collector would take the child away before the question.
    child["metadata"]["finalizers"] = ["example.com/kept"]
    kubectl.api.create(child)
    assert kubectl.api.change(CONFIG_MAPS, PLACE, "orphan", {"metadata": {"labels": OURS}}, DRY_RUN, ACCOUNT)


def test_what_others_added_to_a_storages_objects_does_not_keep_the_reconciler_from_the_rest(kubectl: Kubectl) -> None:
    kubectl.api.create(service(externalIPs=["192.0.2.1"], type="NodePort"))
    kubectl.api.create(stateful_set(hostNetwork=True, serviceAccountName="theirs"))
    patch = {"metadata": {"annotations": {"a": "b"}}}
    assert kubectl.api.change(SERVICES, PLACE, "mine-valkey", patch, DRY_RUN, ACCOUNT)
    assert kubectl.api.change(STATEFUL_SETS, PLACE, "mine-valkey-0", patch, DRY_RUN, ACCOUNT)


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"spec": {"image": "evil"}}, id="image"),
        pytest.param({"spec": {"podTemplateSpec": {"spec": {"serviceAccountName": "admin"}}}}, id="service account"),
        pytest.param(
            {"spec": {"podTemplateSpec": {"spec": {"containers": [{"name": "mcp", "command": ["sh"]}]}}}}, id="command"
        ),
        pytest.param(
            {
                "spec": {
                    "podTemplateSpec": {
                        "spec": {"containers": [{"name": "mcp", "envFrom": [{"secretRef": {"name": "others"}}]}]}
                    }
                }
            },
            id="another Secret",
        ),
        pytest.param({"spec": {"podTemplateSpec": {"metadata": {"labels": {"app": "users"}}}}}, id="labels of pods"),
        pytest.param(
            {"spec": {"resourceOverrides": {"proxyDeployment": {"env": [{"name": "A", "value": "b"}]}}}},
            id="the proxy's environment",
        ),
        pytest.param({"metadata": {"labels": {"a": "b"}}}, id="labels"),
        pytest.param({"metadata": {"finalizers": ["a.example.com/b"]}}, id="finalizers"),
    ],
)
def test_nothing_else_of_a_consumer_may_be_changed(kubectl: Kubectl, patch: Object) -> None:
    said = change_is_refused(kubectl, "MCPServer", PLACE, patch, DRY_RUN, ACCOUNT)
    assert "may change nothing of a consumer or its proxy but annotations" in said


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"annotations": {"toolhive.stacklok.dev/credential-revision": "r@2026-11-30T10:00:00Z"}}},
        {
            "spec": {
                "podTemplateSpec": {
                    "metadata": {"annotations": {"toolhive.stacklok.dev/credential-revision": "r"}},
                    "spec": {"containers": [{"name": "mcp", "envFrom": [{"secretRef": {"name": "mine-connection"}}]}]},
                }
            }
        },
    ],
)
def test_a_consumer_may_be_stamped_and_connected(kubectl: Kubectl, patch: Object) -> None:
    assert change(kubectl, "MCPServer", PLACE, patch, DRY_RUN, ACCOUNT)


@pytest.mark.parametrize(
    ("kind", "spec", "where"),
    [
        ("MCPExternalAuthConfig", auth_config(), "embeddedAuthServer"),
        ("VirtualMCPServer", virtual_server(), "authServerConfig"),
    ],
)
def test_of_an_auth_server_only_its_store_may_be_changed(kubectl: Kubectl, kind: str, spec: Object, where: str) -> None:
    metadata = {"name": "login", "namespace": PLACE}
    kubectl.api.create(
        {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}
    )
    for other in ({"issuer": "https://evil.example"}, {"hmacSecretRefs": [{"name": "theirs", "key": "k"}]}):
        patch: Object = {where: other}
        said = kubectl.api.change_refusal(RESOURCES[kind], PLACE, "login", {"spec": patch}, DRY_RUN, ACCOUNT)
        assert "may change nothing of a consumer or its proxy but annotations" in said
    password = {"passwordSecretRef": {"name": "n", "key": "k"}}
    patch = {where: {"storage": {"type": "redis", "redis": {"addr": "a:1", "aclUserConfig": password}}}}
    assert kubectl.api.change(RESOURCES[kind], PLACE, "login", {"spec": patch}, DRY_RUN, ACCOUNT)


def test_a_deployment_may_be_stamped_and_nothing_else_of_it_changed(kubectl: Kubectl) -> None:
    annotation = {"metadata": {"annotations": {"toolhive.stacklok.dev/session-storage-wired": "x"}}}
    assert kubectl.api.change(DEPLOYMENTS, PLACE, "users", annotation, DRY_RUN, ACCOUNT)
    for patch in (
        {"spec": {"replicas": 1}},
        {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "evil"}]}}}},
        {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}},
        {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}},
        {"metadata": {"labels": {"a": "b"}}},
    ):
        said = kubectl.api.change_refusal(DEPLOYMENTS, PLACE, "users", patch, DRY_RUN, ACCOUNT)
        assert "may change nothing of a consumer or its proxy but annotations" in said


def test_nobody_else_is_held_to_that(kubectl: Kubectl) -> None:
    assert kubectl.api.create(secret({}) | {"metadata": {"name": "any", "namespace": PLACE}}, DRY_RUN)
    assert kubectl.api.change(MCP_SERVERS, PLACE, "srv", {"spec": {"image": "other"}}, DRY_RUN)
