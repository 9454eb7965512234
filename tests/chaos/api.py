"""Requests straight to the local cluster's API server: kubectl would take processor time from what is measured."""

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
    """Reads, and changes a little."""

    def read(self, path: str) -> Object:
        """Return the object at `path`; empty while it or the server cannot be reached."""
        found: Object = self.get(path) or {}
        return found

    def versions(self, collection: str, name: str, seconds: int) -> Iterator[Object]:
        """Yield an object as it is, and as it is after each change; none is too short-lived to be seen.

        Args:
            collection: The path that it is below.
            name: Its own.
            seconds: When to end.

        Raises:
            CommandFailed: The API server ended it earlier.
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
        """Change an object; returns as soon as the API server has.

        Args:
            path: Of the object.
            changed: The fields to change (RFC 7386).

        Raises:
            CommandFailed: The API server did not do it.
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
