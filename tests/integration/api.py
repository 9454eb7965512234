"""A client of a real API server, for tests that do not depend on kubectl's output.

A start of kubectl costs 0.1 s of processor time, and tests that wait ask twenty times a second: with kubectl, the
waiting alone kept a processor busy.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from deploy.local import api
from shared.objects import resources
from shared.objects.resources import Object, Resource

KINDS: Final = {
    "configmap": resources.CONFIG_MAPS,
    "crd": resources.CRDS,
    "deployment": resources.DEPLOYMENTS,
    "endpointslice": resources.ENDPOINT_SLICES,
    "lease": resources.LEASES,
    "mcpserver": resources.MCP_SERVERS,
    "mutatingwebhookconfiguration": resources.MUTATING_WEBHOOKS,
    "networkpolicy": resources.NETWORK_POLICIES,
    "persistentvolumeclaim": resources.VOLUME_CLAIMS,
    "pod": resources.PODS,
    "poddisruptionbudget": resources.DISRUPTION_BUDGETS,
    "secret": resources.SECRETS,
    "service": resources.SERVICES,
    "sessionstorage": resources.SESSION_STORAGES,
    "sstore": resources.SESSION_STORAGES,
    "statefulset": resources.STATEFUL_SETS,
}
"""The resources that tests read, by kubectl's name for each."""
REPLICA_SETS: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")
DAEMON_SETS: Final = Resource("apps", "v1", "daemonsets", "DaemonSet")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
CRON_JOBS: Final = Resource("batch", "v1", "cronjobs", "CronJob")
_WRITTEN: Final = {
    resource.kind: resource
    for resource in (
        *(resources.NAMESPACES, resources.SECRETS, resources.DEPLOYMENTS, resources.SESSION_STORAGES),
        *(resources.CONFIG_MAPS, resources.SERVICES, resources.ENDPOINT_SLICES, resources.PODS),
        *(resources.STATEFUL_SETS, resources.NETWORK_POLICIES, resources.DISRUPTION_BUDGETS, resources.VOLUME_CLAIMS),
        *(REPLICA_SETS, DAEMON_SETS, JOBS, CRON_JOBS),
        *(resources.MCP_SERVERS, resources.MCP_REMOTE_PROXIES, resources.VIRTUAL_MCP_SERVERS),
        resources.MCP_EXTERNAL_AUTH_CONFIGS,
    )
}
_QUERIES: Final = {
    "--dry-run=server": {"dryRun": "All"},
    "--validate=ignore": {"fieldValidation": "Ignore"},
}
_AS: Final = "--as="
_STATUS: Final = "--subresource=status"


class Api:
    """The API server, as the administrator.

    Options have kubectl's names. An unexpected answer raises an AssertionError with the API server's message.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._client = api.Client(kubeconfig)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found: Object = self._wanted("GET", resource.path(namespace, name))
        return found

    def list(self, resource: Resource, namespace: str = "", labels: str = "") -> list[Object]:
        """List objects, each with its kind; of all namespaces, if none is given."""
        query = "?" + urlencode({"labelSelector": labels}) if labels else ""
        found = self._wanted("GET", resource.path(namespace) + query)["items"]
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **each} for each in found]

    def create(self, obj: Object, *options: str) -> Object:
        made: Object = self._wanted("POST", _collection(obj), obj, *options)
        return made

    def refusal(self, obj: Object, *options: str) -> str:
        """Create an object that the API server refuses, and return its message."""
        return self._refused("POST", _collection(obj), obj, *options)

    def apply(self, *objects: Object) -> None:
        for obj in objects:
            metadata = obj["metadata"]
            path = _resource(obj).path(metadata.get("namespace"), metadata["name"])
            self._wanted("PATCH", f"{path}?fieldManager=kubectl&force=true", obj, content="apply-patch+yaml")

    def change(self, resource: Resource, namespace: str, name: str, patch: Object, *options: str) -> Object:
        """Merge a patch into an object."""
        path = resource.path(namespace, name)
        changed: Object = self._wanted("PATCH", path, patch, *options, content="merge-patch+json")
        return changed

    def change_refusal(self, resource: Resource, namespace: str, name: str, patch: Object, *options: str) -> str:
        """Make a change that the API server refuses, and return its message."""
        return self._refused("PATCH", resource.path(namespace, name), patch, *options, content="merge-patch+json")

    def delete(self, resource: Resource, namespace: str, name: str = "") -> None:
        """Delete an object, or all of a namespace if none is named."""
        self._wanted("DELETE", resource.path(namespace, name))

    def delete_refusal(self, resource: Resource, namespace: str, name: str, *options: str) -> str:
        """Delete an object that the API server does not let go, and return its message."""
        return self._refused("DELETE", resource.path(namespace, name), None, *options)

    def _wanted(self, method: str, path: str, body: Object | None = None, *options: str, content: str = "json") -> Any:
        status, answer = self._ask(method, path, body, options, content)
        assert status < http.HTTPStatus.BAD_REQUEST, answer["message"]
        return answer

    def _refused(self, method: str, path: str, body: Object | None, *options: str, content: str = "json") -> str:
        status, answer = self._ask(method, path, body, options, content)
        assert status >= http.HTTPStatus.BAD_REQUEST, answer
        message: str = answer["message"]
        return message

    def _ask(
        self, method: str, path: str, body: Object | None, options: tuple[str, ...], content: str
    ) -> tuple[int, Any]:
        headers = {"Content-Type": f"application/{content}"}
        query: dict[str, str] = {}
        for option in options:
            if option.startswith(_AS):
                headers["Impersonate-User"] = option.removeprefix(_AS)
            elif option == _STATUS:
                path += "/status"
            else:
                query |= _QUERIES[option]
        connection = self._client.connection()
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, text, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()


def _resource(obj: Object) -> Resource:
    return replace(_WRITTEN[obj["kind"]], version=obj["apiVersion"].rpartition("/")[2])


def _collection(obj: Object) -> str:
    return _resource(obj).path(obj["metadata"].get("namespace"))
