from typing import Any

import pytest
import yaml

from deploy.local import images, metrics
from deploy.local.images import StaticImage
from deploy.local.profile import ORDINARY, PROFILES, Profile


def manifest(profile: Profile = ORDINARY) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for document in yaml.safe_load_all(metrics.render_manifest(profile)):
        found.setdefault(document["kind"], []).append(document)
    return found


def test_the_api_leads_to_the_pods_of_metrics_server() -> None:
    found = manifest()
    (registered,), (service,), (deployment,) = found["APIService"], found["Service"], found["Deployment"]
    assert registered["metadata"]["name"] == metrics.API
    assert registered["spec"]["service"] == {key: service["metadata"][key] for key in ("name", "namespace")}
    template = deployment["spec"]["template"]
    assert (
        service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    )
    (container,) = template["spec"]["containers"]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == [port["name"] for port in container["ports"]]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_its_image_is_built_and_its_pods_tolerate_the_nodes(profile: Profile) -> None:
    (deployment,) = manifest(profile)["Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    assert isinstance(metrics.IMAGE, StaticImage)
    assert [container["image"] for container in pod["containers"]] == list(metrics.IMAGE.names)
    assert pod["tolerations"] == profile.tolerations


def test_no_cluster_has_it_that_did_not_ask_for_it() -> None:
    assert images.METRICS_SERVER not in images.images()


def test_it_checks_the_certificates_of_kubelets_and_may_read_nothing_but_pods_nodes_and_their_figures() -> None:
    found = manifest()
    (container,) = found["Deployment"][0]["spec"]["template"]["spec"]["containers"]
    assert [each for each in container["args"] if "insecure" in each] == []
    assert any(each.startswith("--kubelet-certificate-authority=") for each in container["args"])
    (role,) = found["ClusterRole"]
    granted = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    reads = {(resource, verb) for resource in ("pods", "nodes") for verb in ("get", "list", "watch")}
    assert granted == reads | {("nodes/metrics", "get")}
