"""Asks a real API server directly, where users' words do not matter: a start of kubectl costs 0.1 s of processor time.

Tests that wait ask twenty times a second; by kubectl, waiting alone filled a processor.
"""

from __future__ import annotations

import http.client
import json
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
    "lease": resources.LEASES,
    "mutatingwebhookconfiguration": resources.MUTATING_WEBHOOKS,
    "networkpolicy": resources.NETWORK_POLICIES,
    "pod": resources.PODS,
    "poddisruptionbudget": resources.DISRUPTION_BUDGETS,
    "secret": resources.SECRETS,
    "service": resources.SERVICES,
    "sessionstorage": resources.SESSION_STORAGES,
    "sstore": resources.SESSION_STORAGES,
    "statefulset": resources.STATEFUL_SETS,
}
"""What tests read, by kubectl's word for it."""


class Api:
    """The API server, as the administrator; any answer that is not the wanted one is an AssertionError."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = api.Client(kubeconfig)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found: Object = self._ask("GET", resource.path(namespace, name))
        return found

    def list(self, resource: Resource, namespace: str = "", labels: str = "") -> list[Object]:
        """List objects, each with its kind; of all namespaces, if none is given."""
        query = "?" + urlencode({"labelSelector": labels}) if labels else ""
        found = self._ask("GET", resource.path(namespace) + query)["items"]
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **each} for each in found]

    def create(self, resource: Resource, obj: Object) -> Object:
        made: Object = self._ask("POST", resource.path(obj["metadata"].get("namespace")), obj)
        return made

    def would_be(self, resource: Resource, obj: Object) -> Object:
        """Tell what would be stored of an object, after all of admission."""
        made: Object = self._ask("POST", f"{resource.path(obj['metadata']['namespace'])}?dryRun=All", obj)
        return made

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        self._ask("DELETE", resource.path(namespace, name))

    def _ask(self, method: str, path: str, body: Object | None = None) -> Any:
        connection = self._client.connection()
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        assert response.status < http.HTTPStatus.BAD_REQUEST, answer.decode()
        return json.loads(answer)
