"""Finds pod templates among the chart's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.installation import RELEASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.objects.resources import Object

COMPONENTS = ("webhook", "reconciler", "handover")


def workload(objects: Sequence[Object], component: str, release: str = RELEASE) -> Object:
    """Find the Deployment or the Job of a component."""
    (found,) = [
        obj
        for obj in objects
        if obj["kind"] in {"Deployment", "Job"} and obj["metadata"]["name"] == f"{release}-{component}"
    ]
    return found


def template(objects: Sequence[Object], component: str, release: str = RELEASE) -> Object:
    """Find the pod template of a component."""
    found: Object = workload(objects, component, release)["spec"]["template"]
    return found


def templates(objects: Sequence[Object]) -> list[Object]:
    """List the pod templates of all components."""
    return [template(objects, component) for component in COMPONENTS]


def container(pod: Object) -> Object:
    """Return the only container of a pod or pod template."""
    (found,) = pod["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def resources(obj: Object) -> Object:
    """Return the resources of the only container of a pod, or of a workload's pods."""
    found: Object = container(obj["spec"].get("template", obj))["resources"]
    return found


def environment(pod: Object) -> dict[str, str]:
    """Return the variables with a value of the only container."""
    return {item["name"]: item["value"] for item in container(pod)["env"] if "value" in item}


def ports(pod: Object) -> dict[str, int]:
    """Return the ports of the only container, by name."""
    return {port["name"]: port["containerPort"] for port in container(pod).get("ports", ())}
