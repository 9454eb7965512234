"""Sends requests straight to the local cluster's API server; kubectl would take processor time from the measurement."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import CommandFailed
from deploy.local.api import REQUEST_DEADLINE_SECONDS, Client
from shared import names
from tests.e2e.namespaces import CHAOS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deploy.demo.kube import Object

NAMESPACE: Final = CHAOS
CORE: Final = f"/api/v1/namespaces/{NAMESPACE}"
SLICES: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
STORAGES: Final = f"/apis/{names.GROUP}/v1alpha1/namespaces/{NAMESPACE}/sessionstorages"


class Api(Client):
    """A client that reads, watches and patches objects, and evicts pods."""

    def read(self, path: str) -> Object:
        """Return the object at `path`; empty if it does not exist or the API server does not answer."""
        found: Object = self.get(path) or {}
        return found

    def versions(self, collection: str, name: str, seconds: int) -> Iterator[Object]:
        """Watch an object: yield it as it is now, and after each change, however short-lived.

        Args:
            collection: Path of the collection that holds the object.
            name: Name of the object.
            seconds: How long to watch.

        Raises:
            CommandFailed: The watch failed.
        """
        connection = self.connection()
        connection.timeout = seconds + REQUEST_DEADLINE_SECONDS
        try:
            connection.request(
                "GET", f"{collection}?watch=1&fieldSelector=metadata.name%3D{name}&timeoutSeconds={seconds}"
            )
            for line in connection.getresponse():
                yield json.loads(line)["object"]
        except (OSError, http.client.HTTPException) as error:
            raise CommandFailed(f"watching {collection}/{name}: {error!r}") from error
        finally:
            connection.close()

    def patch(self, path: str, changed: Object) -> None:
        """Patch an object, and return as soon as the API server has.

        Args:
            path: Path of the object.
            changed: The fields to change (JSON Merge Patch, RFC 7386).

        Raises:
            CommandFailed: The API server did not accept the patch.
        """
        self._send("PATCH", path, changed, "application/merge-patch+json")

    def evict(self, pod: Object) -> bool:
        """Ask the API server to evict a pod, as a drain does, and tell whether it is evicted or gone already.

        While a PodDisruptionBudget forbids it, the answer is 429. Source: Kubernetes, "API-initiated Eviction".

        Raises:
            CommandFailed: The API server refused for another reason, or did not answer.
        """
        metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
        # A pod of the same name that has taken its place must not go: the answer is 409 then.
        options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
        path = f"{CORE}/pods/{metadata['name']}/eviction"
        answers = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
        return self._send("POST", path, asked, "application/json", but=answers) != HTTPStatus.TOO_MANY_REQUESTS

    def _send(
        self, method: str, path: str, content: Object, media_type: str, *, but: Collection[int] = frozenset()
    ) -> int:
        """Send an object, and return the answer's status.

        Args:
            method: Method of the request.
            path: Path of the request.
            content: The object.
            media_type: How the API server should read it.
            but: Statuses that are no failure besides those of success.

        Raises:
            CommandFailed: The API server refused, or did not answer.
        """
        connection = self.connection()
        try:
            connection.request(method, path, json.dumps(content), {"Content-Type": media_type})
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CommandFailed(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED, *but}:
            raise CommandFailed(f"{method} {path}: {json.loads(said).get('message')}")
        return answer.status
