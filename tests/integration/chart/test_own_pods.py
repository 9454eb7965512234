"""Where and how the chart runs the product's own pods; Helm renders, and no cluster is asked."""

from __future__ import annotations

import json

import pytest

from certs.served_certificates import PORT_NAME, Endpoint, ready_endpoints
from tests.integration.chart.pods import COMPONENTS, container, environment, ports, template, templates, workload
from tests.integration.installation import RELEASE, chart_objects

OPENSHIFT = ("--api-versions=security.openshift.io/v1",)
IDS = {"runAsUser", "runAsGroup"}
MESH = "sidecar.istio.io/inject"


def as_json(key: str, value: object) -> str:
    """Write a value as an option of Helm."""
    return f"--set-json={key}={json.dumps(value)}"


def test_the_webhook_listens_where_private_control_planes_reach_pods() -> None:
    webhook = template(chart_objects(), "webhook")
    assert ports(webhook) == {"https": 10250, "http": 8080}
    assert "hostNetwork" not in webhook["spec"]
    assert "dnsPolicy" not in webhook["spec"]


@pytest.mark.parametrize(
    ("values", "https", "http"),
    [
        ((), 10250, 8080),
        (("webhook.port=9443",), 9443, 8080),
        (("webhook.hostNetwork=true",), 10270, 10271),
        (("webhook.hostNetwork=true", "webhook.port=10260"), 10260, 10261),
    ],
)
def test_everything_that_concerns_the_webhooks_ports_agrees(values: tuple[str, ...], https: int, http: int) -> None:
    objects = chart_objects(*values)
    webhook = template(objects, "webhook")
    assert ports(webhook) == {"https": https, "http": http}
    told = environment(webhook)
    assert (told["WEBHOOK_PORT"], told["HTTP_PORT"]) == (str(https), str(http))
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert {container(webhook)[probe]["httpGet"]["port"] for probe in probes} == {"http"}
    (service,) = [obj for obj in objects if obj["kind"] == "Service"]
    assert service["spec"]["ports"] == [{"name": "https", "port": 443, "targetPort": PORT_NAME}]
    (policy,) = [
        obj for obj in objects if obj["kind"] == "NetworkPolicy" and obj["metadata"]["name"] == f"{RELEASE}-webhook"
    ]
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == [*ports(webhook)]
    # The reconciler connects to the pods to see which certificate each serves.
    status = {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]}
    pod = {**webhook, "metadata": {"name": "one", "uid": "u"}, "status": status}
    assert ready_endpoints({("ns", "one"): pod}) == {"one": Endpoint("u", "10.0.0.7", https)}


def test_on_the_nodes_network_a_rollout_needs_no_node_to_spare() -> None:
    on_pods = workload(chart_objects(), "webhook")["spec"]["strategy"]["rollingUpdate"]
    assert on_pods == {"maxUnavailable": 0, "maxSurge": 1}
    objects = chart_objects("webhook.hostNetwork=true")
    on_nodes = workload(objects, "webhook")["spec"]["strategy"]["rollingUpdate"]
    assert on_nodes == {"maxUnavailable": 1, "maxSurge": 0}
    assert template(objects, "webhook")["spec"]["hostNetwork"] is True
    assert "hostNetwork" not in template(objects, "reconciler")["spec"]
    assert ports(template(objects, "reconciler")) == {"http": 8080}


def test_the_nodes_network_is_all_that_the_webhook_gets_of_its_node() -> None:
    webhook, before = (template(chart_objects(*values), "webhook") for values in (("webhook.hostNetwork=true",), ()))
    changed = {"hostNetwork", "dnsPolicy", "containers"}
    kept = [
        {field: value for field, value in each["spec"].items() if field not in changed} for each in (webhook, before)
    ]
    assert kept[0] == kept[1]
    assert container(webhook)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_on_the_nodes_network_the_webhook_still_asks_the_clusters_dns() -> None:
    assert template(chart_objects("webhook.hostNetwork=true"), "webhook")["spec"]["dnsPolicy"] == (
        "ClusterFirstWithHostNet"
    )
    assert template(chart_objects("webhook.dnsPolicy=Default"), "webhook")["spec"]["dnsPolicy"] == "Default"


def test_api_servers_and_webhook_agree_how_long_an_answer_may_take() -> None:
    objects = chart_objects("webhook.timeoutSeconds=9")
    (configuration,) = [obj for obj in objects if obj["kind"] == "MutatingWebhookConfiguration"]
    seconds = {webhook["name"].split(".")[0]: webhook["timeoutSeconds"] for webhook in configuration["webhooks"]}
    # ToolHive's operator writes Deployments, and never waits for us longer than this.
    assert seconds == {"sessionstorages": 9, "consumers": 9, "deletions": 9, "deployments": 1}
    assert environment(template(objects, "webhook"))["WEBHOOK_TIMEOUT_SECONDS"] == "9"


def test_our_pods_stay_out_of_meshes() -> None:
    for pod in templates(chart_objects()):
        assert pod["metadata"]["labels"].items() >= {MESH: "false", "istio.io/dataplane-mode": "none"}.items()
        assert pod["metadata"]["annotations"] == {"linkerd.io/inject": "disabled"}


def test_our_pods_join_a_mesh_by_value_but_the_job_that_has_to_end() -> None:
    options = [
        as_json("podLabels", {MESH: "true", "tier": "one"}),
        as_json("podAnnotations", {"linkerd.io/inject": "enabled"}),
    ]
    joined = chart_objects(options=options)
    for component, label, annotation in (
        ("webhook", "true", "enabled"),
        ("reconciler", "true", "enabled"),
        ("handover", "false", "disabled"),
    ):
        metadata = template(joined, component)["metadata"]
        assert metadata["labels"].items() >= {MESH: label, "tier": "one"}.items()
        assert metadata["annotations"]["linkerd.io/inject"] == annotation


def test_common_labels_are_on_every_object_and_pod_and_select_nothing() -> None:
    objects = chart_objects(
        "commonLabels.team=platform", "monitoring.enabled=true", "monitoring.annotations=true", "watchNamespaces={a,b}"
    )
    assert [obj["kind"] for obj in objects if obj["metadata"].get("labels", {}).get("team") != "platform"] == []
    for pod in templates(objects):
        assert pod["metadata"]["labels"]["team"] == "platform"
    plain = chart_objects("monitoring.enabled=true", "monitoring.annotations=true", "watchNamespaces={a,b}")
    for component in ("webhook", "reconciler"):
        spec, before = (workload(each, component)["spec"] for each in (objects, plain))
        assert spec["selector"] == before["selector"]
        assert spec["template"]["spec"] == before["template"]["spec"]
    services = [[obj["spec"]["selector"] for obj in each if obj["kind"] == "Service"] for each in (objects, plain)]
    assert services[0] == services[1]


def test_pod_labels_go_before_common_labels() -> None:
    objects = chart_objects("commonLabels.team=platform", "podLabels.team=pods")
    assert {pod["metadata"]["labels"]["team"] for pod in templates(objects)} == {"pods"}
    assert workload(objects, "webhook")["metadata"]["labels"]["team"] == "platform"


def test_the_service_has_labels_and_annotations_of_its_own() -> None:
    objects = chart_objects("webhook.serviceLabels.a=b", "webhook.serviceAnnotations.c=d", "commonLabels.a=c")
    (service,) = [obj for obj in objects if obj["kind"] == "Service"]
    assert service["metadata"]["labels"]["a"] == "b"
    assert service["metadata"]["annotations"] == {"c": "d"}


def test_openshift_assigns_the_ids_of_our_pods() -> None:
    for pod in templates(chart_objects(options=OPENSHIFT)):
        assert not IDS & set(pod["spec"]["securityContext"])
        assert pod["spec"]["securityContext"].items() >= {"runAsNonRoot": True}.items()


def test_an_id_that_somebody_chose_stays_on_openshift() -> None:
    chosen = chart_objects("podSecurityContext.runAsUser=1000650007", options=OPENSHIFT)
    for pod in templates(chosen):
        assert pod["spec"]["securityContext"]["runAsUser"] == 1000650007
        assert "runAsGroup" not in pod["spec"]["securityContext"]


def test_a_null_removes_a_field_of_ours_from_the_security_contexts() -> None:
    objects = chart_objects(
        "podSecurityContext.runAsUser=null",
        "podSecurityContext.runAsGroup=null",
        "securityContext.readOnlyRootFilesystem=null",
        "podSecurityContext.fsGroup=7",
    )
    for pod in templates(objects):
        seccomp = {"type": "RuntimeDefault"}
        assert pod["spec"]["securityContext"] == {"runAsNonRoot": True, "fsGroup": 7, "seccompProfile": seccomp}
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


def test_without_values_the_security_contexts_are_what_the_image_and_the_restricted_standard_ask_for() -> None:
    for pod in templates(chart_objects()):
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_our_pods_run_on_linux_nodes_and_where_values_say() -> None:
    affinity = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"
    objects = chart_objects("nodeSelector.pool=system", f"{affinity}.matchExpressions[0].key=pool")
    for pod in templates(objects):
        assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "system"}
        assert set(pod["spec"]["affinity"]) == {"nodeAffinity"}


def test_a_constraint_without_a_selector_counts_the_pods_of_one_process() -> None:
    zone = {"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}
    rack = {"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    counting = {"labelSelector": {"matchLabels": {"all": "ours"}}}
    objects = chart_objects(options=[as_json("topologySpreadConstraints", [zone, rack | counting])])
    for component in COMPONENTS:
        selector = {
            "app.kubernetes.io/name": "toolhive-session-storage",
            "app.kubernetes.io/instance": RELEASE,
            "app.kubernetes.io/component": component,
        }
        own = {"labelSelector": {"matchLabels": selector}, "matchLabelKeys": ["pod-template-hash"]}
        assert template(objects, component)["spec"]["topologySpreadConstraints"] == [zone | own, rack | counting]


def test_further_variables_and_pull_secrets_reach_all_our_pods() -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    node = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    options = [as_json("imagePullSecrets", [{"name": "mine"}]), as_json("extraEnv", [proxy, node])]
    objects = chart_objects(options=options)
    for pod in templates(objects):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "mine"}]
        assert container(pod)["env"][-2:] == [proxy, node]
        names = [item["name"] for item in container(pod)["env"]]
        assert len(names) == len(set(names))


def test_where_a_quota_counts_cpu_limits_a_value_gives_one_to_each_of_our_pods_and_to_the_job() -> None:
    limited = chart_objects("webhook.resources.limits.cpu=500m", "reconciler.resources.limits.cpu=500m")
    for pod, plain in zip(templates(limited), templates(chart_objects()), strict=True):
        before = container(plain)["resources"]
        assert container(pod)["resources"] == {**before, "limits": {**before["limits"], "cpu": "500m"}}
