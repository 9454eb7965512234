"""Calls the Kubernetes API: reads, writes, lists and watches objects, and says what became of it in our own errors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from shared import errors
from shared.kubernetes import responses
from shared.kubernetes.transport import JSON, Request, Transport, load_configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.objects.resources import Object, Resource

WATCH_SECONDS: Final = 300
"""Duration of one watch; the API server ends it, and the informer starts the next where it ended."""
LIST_PAGE: Final = 500
APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
METADATA: Final = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Kubernetes, "Receiving resources as Tables" and "Kubernetes API Concepts": the API server leaves out all but the
metadata."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which objects to list or watch; empty strings select all.

    Attributes:
        versions_only: Ask only who each object is and in which version: the API server sends no content, and of the
            metadata nothing else is kept.
    """

    namespace: str = ""
    labels: str = ""
    fields: str = ""
    versions_only: bool = False

    def query(self) -> dict[str, str]:
        """Write the selector as query parameters."""
        pairs = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: value for name, value in pairs.items() if value}

    def kept(self, obj: Object) -> Object:
        """Return what the selector asks for of an object."""
        if not self.versions_only:
            return obj
        metadata = obj["metadata"]
        return {"metadata": {name: metadata[name] for name in _VERSION if name in metadata}}


EVERYTHING: Final = Selector()
_VERSION: Final = ("namespace", "name", "uid", "resourceVersion")


class Cluster:
    """A connection to one API server; each method raises a ClusterError if the server refuses or does not answer.

    What must not wait for anything else of the process, such as the Lease, takes a connection of its own.

    Attributes:
        clock: The API server's clock.
    """

    def __init__(self, transport: Transport) -> None:
        self.clock = transport.clock
        self._transport = transport

    @classmethod
    async def connect(cls, *, user_agent: str, kubeconfig: str | None = None) -> Self:
        """Connect as a pod does, or else by kubeconfig (the given file, `$KUBECONFIG` or the default one).

        Raises:
            InvalidSettings: Neither a service account nor a usable kubeconfig was found.
        """
        return cls(Transport(await load_configuration(kubeconfig), user_agent))

    @property
    def host(self) -> str:
        """Name or address of the API server, without brackets."""
        return self._transport.host

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object; the answer includes every earlier write."""
        return await self._call(Request("GET", resource, namespace, name))

    async def list_all(self, resource: Resource, selector: Selector = EVERYTHING) -> tuple[list[Object], str]:
        """Read all objects that match, and the resourceVersion to watch from."""
        found: list[Object] = []
        position = ""
        async for items, at in self.list_pages(resource, selector):
            found += items
            position = at
        return found, position

    async def list_pages(
        self, resource: Resource, selector: Selector = EVERYTHING
    ) -> AsyncIterator[tuple[list[Object], str]]:
        """Yield the objects that match, page by page, each with the resourceVersion to watch from after the last.

        Whoever gets a page may take the objects out of it.
        """
        query = {**selector.query(), "limit": str(LIST_PAGE)}
        accept = METADATA_LIST if selector.versions_only else JSON
        while True:
            page = await self._call(Request("GET", resource, selector.namespace, query=query, accept=accept))
            metadata = page.get("metadata", {})
            yield list(map(selector.kept, page.pop("items", None) or [])), metadata.get("resourceVersion", "")
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Create an object.

        Raises:
            AlreadyExists: An object of that name exists.
        """
        try:
            return await self._call(Request("POST", resource, _namespace(obj), body=_with_type(resource, obj)))
        except errors.Conflict as error:
            raise errors.AlreadyExists(str(error)) from error

    async def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Replace an object if it still has the resourceVersion in `obj`, or raise Conflict.

        The API server keeps the managers of fields that it has, because this names none (Kubernetes,
        `managedfields/internal/fieldmanager.go`). Those in a cache may be trimmed.
        """
        metadata = {field: value for field, value in obj["metadata"].items() if field != "managedFields"}
        return await self._call(_sending("PUT", resource, {**obj, "metadata": metadata}, subresource))

    async def apply(self, resource: Resource, obj: Object, *, field_manager: str, subresource: str = "") -> Object:
        """Apply an object server-side, and take its fields over from other managers."""
        query, request = {"fieldManager": field_manager, "force": "true"}, _sending("PATCH", resource, obj, subresource)
        return await self._call(replace(request, query=query, content_type=APPLY))

    async def patch(
        self, resource: Resource, namespace: str, name: str, operations: list[Object], *, field_manager: str
    ) -> Object:
        """Apply RFC 6902 operations to an object."""
        query = {"fieldManager": field_manager}
        return await self._call(Request("PATCH", resource, namespace, name, "", operations, query, JSON_PATCH))

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str = "", keeps_dependents: bool = False
    ) -> None:
        """Delete an object if it still has that uid; one that does not exist is no error.

        Kubernetes deletes what the object owns too, unless `keeps_dependents`: then only their owner goes.
        """
        options: Object = {"preconditions": {"uid": uid}} if uid else {}
        if keeps_dependents:
            options["propagationPolicy"] = "Orphan"
        with contextlib.suppress(errors.NotFound):
            await self._call(Request("DELETE", resource, namespace, name, body=options))

    async def watch(self, resource: Resource, selector: Selector, resource_version: str) -> AsyncIterator[Object]:
        """Yield watch events (`type`, `object`), bookmarks among them, until the API server ends the watch.

        Raises:
            Expired: The resourceVersion is too old.
            Unavailable: The connection failed, or stayed silent for longer than bookmarks take.
        """
        query = {
            **selector.query(),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        accept = METADATA if selector.versions_only else JSON
        request = Request("GET", resource, selector.namespace, query=query, accept=accept)
        async for line in self._transport.stream(request):
            event = responses.parse_object(line)
            if event is None:
                raise errors.Unavailable(f"watch of {resource.plural}: an event is not JSON")
            if event.get("type") == "ERROR":
                raise responses.error_of(event["object"].get("code", 500), event["object"])
            yield {**event, "object": selector.kept(event["object"])} if selector.versions_only else event

    async def _call(self, request: Request) -> Object:
        return await self._transport.call(request)


def _sending(method: str, resource: Resource, obj: Object, subresource: str) -> Request:
    """Build a request that sends an object to where it is, or is to be."""
    name, body = obj["metadata"]["name"], _with_type(resource, obj)
    return Request(method, resource, _namespace(obj), name, subresource, body)


def _namespace(obj: Object) -> str:
    namespace: str = obj["metadata"].get("namespace", "")
    return namespace


def _with_type(resource: Resource, obj: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
