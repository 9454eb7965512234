"""Tells whether rollouts are complete: ready pods may be about to be replaced. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from deploy.demo.kube import Object

PASSWORD_VARIABLE: Final = "THV_SESSION_REDIS_PASSWORD"
"""Environment variable with the store's password for ToolHive's proxies (its `pkg/runner/config.go`)."""


def is_complete(workload: Object) -> bool:
    """Tell whether a Deployment or StatefulSet is rolled out, as `kubectl rollout status` does."""
    status, wanted = workload.get("status", {}), workload["spec"].get("replicas", 1)
    counted = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "readyReplicas")]
    return status.get("observedGeneration") == workload["metadata"]["generation"] and counted == [wanted] * 3


def follows_consumer(consumer: Object, deployment: Object) -> bool:
    """Tell whether a proxy Deployment reads the password of the store that its consumer names, and no other."""
    reference = consumer["spec"].get("sessionStorage", {}).get("passwordRef")
    containers = deployment["spec"]["template"]["spec"]["containers"]
    variables = [variable for container in containers for variable in container.get("env", [])]
    told = [each["valueFrom"]["secretKeyRef"] for each in variables if each["name"] == PASSWORD_VARIABLE]
    return [(each["name"], each["key"]) for each in told] == (
        [(reference["name"], reference["key"])] if reference else []
    )
