"""Sends requests straight to the local cluster's API server; kubectl would take processor time from the measurement."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import CommandFailed
from deploy.local.api import REQUEST_DEADLINE_SECONDS, Client
from shared import names
from tests.e2e.namespaces import CHAOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.demo.kube import Object

NAMESPACE: Final = CHAOS
CORE: Final = f"/api/v1/namespaces/{NAMESPACE}"
STORAGES: Final = f"/apis/{names.GROUP}/v1alpha1/namespaces/{NAMESPACE}/sessionstorages"


class Api(Client):
    """A client that reads, watches and patches objects."""

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
        connection = self.connection()
        try:
            connection.request("PATCH", path, json.dumps(changed), {"Content-Type": "application/merge-patch+json"})
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CommandFailed(f"PATCH {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise CommandFailed(f"PATCH {path}: {json.loads(said).get('message')}")
