"""What the demonstration reports about a foreign cluster, from what the cluster reports about itself."""

from typing import Any

import pytest

from deploy.demo import foreign
from deploy.demo.errors import DemoError
from deploy.demo.images import Images
from deploy.demo.kube import Kube

IMAGES = Images.of({"PRODUCT_IMAGE": "product:1", "VALKEY_IMAGE": "valkey:1", "MCP_IMAGE": "mcp:1"})
FOREIGN = {"KUBECONFIG": "/home/somebody/.kube/config"}
ENDED = {"terminated": {"exitCode": 0, "reason": "Completed"}}
# The node has pulled an image that lacks the command.
UNABLE = {"terminated": {"exitCode": 128, "reason": "StartError"}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


def pod(**states: dict[str, Any]) -> dict[str, Any]:
    """Return the state of each container by the environment variable of its image."""
    statuses = [{"name": foreign.container_name(variable), "state": state} for variable, state in states.items()]
    return {"status": {"containerStatuses": statuses}}


def test_a_kubeconfig_that_does_not_exist_is_named() -> None:
    kube = Kube((), "", {"KUBECONFIG": "/nowhere/config:/nowhere/else"}, is_local=False)
    with pytest.raises(DemoError, match="/nowhere/config, /nowhere/else"):
        foreign.require_answer(kube)


def test_one_pod_tries_every_image_and_may_run_in_a_restricted_namespace() -> None:
    spec = foreign.pod_of(IMAGES)["spec"]
    assert [container["image"] for container in spec["containers"]] == ["product:1", "valkey:1", "mcp:1"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert not any(container["securityContext"]["allowPrivilegeEscalation"] for container in spec["containers"])


@pytest.mark.parametrize("reason", sorted(foreign.REFUSED))
def test_an_image_that_the_node_cannot_pull_is_reported_with_the_kubelets_reason(reason: str) -> None:
    seen = foreign.image_verdicts(
        pod(PRODUCT_IMAGE=waiting(reason), VALKEY_IMAGE=ENDED, MCP_IMAGE=UNABLE), IMAGES.variables()
    )
    assert seen == {"PRODUCT_IMAGE": reason, "VALKEY_IMAGE": "", "MCP_IMAGE": ""}


@pytest.mark.parametrize(
    "undecided",
    [
        pytest.param({}, id="no pod"),
        pytest.param({"status": {}}, id="no node yet"),
        pytest.param(pod(PRODUCT_IMAGE=waiting("ErrImagePull"), VALKEY_IMAGE=ENDED), id="one not told of"),
        pytest.param(
            pod(PRODUCT_IMAGE=ENDED, VALKEY_IMAGE=ENDED, MCP_IMAGE=waiting("ContainerCreating")), id="one being pulled"
        ),
    ],
)
def test_there_is_no_report_before_every_image_was_tried(undecided: dict[str, Any]) -> None:
    assert foreign.image_verdicts(undecided, IMAGES.variables()) == {}


@pytest.mark.parametrize(
    ("annotations", "is_default"),
    [({foreign.DEFAULT_CLASS: "true"}, True), ({foreign.DEFAULT_CLASS: "false"}, False), ({}, False)],
)
def test_a_storage_class_is_the_default_by_its_annotation(annotations: dict[str, str], *, is_default: bool) -> None:
    assert foreign.is_default({"metadata": {"name": "standard", "annotations": annotations}}) == is_default


def test_a_foreign_cluster_runs_the_charts_valkey_unless_the_user_names_another() -> None:
    assert Images.of(FOREIGN).valkey.startswith("docker.io/valkey/valkey:")
    assert Images.of({**FOREIGN, "VALKEY_IMAGE": "registry.example.com/valkey:9"}).valkey.endswith("/valkey:9")
    assert Images.of({}).valkey.startswith("localhost/")
