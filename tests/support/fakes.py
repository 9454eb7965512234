"""An API server in memory, for speed.

tests/integration/test_cluster_contract.py checks that it behaves like a real one.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeVar

import jsonpatch
import orjson

from shared import errors
from shared.kubernetes.client import EVERYTHING, Cluster, Selector
from shared.kubernetes.server_clock import ServerClock
from shared.objects.resources import Object, Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

T = TypeVar("T")

ATOMIC = {"matchLabels", "selector", "podSelector", "namespaceSelector", "ingress", "egress", "policyTypes"}
MERGE_KEYS = {
    "ownerReferences": "uid",
    "conditions": "type",
    "containers": "name",
    "volumes": "name",
    "ports": "port",
    "webhooks": "name",
}
"""Lists that server-side apply merges, with the key of their items; it replaces every other list whole."""

CONTAINER_DEFAULTS: Object = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
POD_DEFAULTS: Object = {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler"}
SPEC_DEFAULTS: dict[str, Object] = {
    "Service": {"type": "ClusterIP", "clusterIP": "10.0.0.9", "sessionAffinity": "None", "ipFamilies": ["IPv4"]},
    "StatefulSet": {
        "podManagementPolicy": "OrderedReady",
        "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    },
}


class FakeApi(Cluster):
    """Stores objects as the API server does: versions, defaults, field owners, preconditions, watches.

    Attributes:
        objects: What is stored, by (plural, namespace, name).
        writes: Every call that changed something, as `verb plural/name`.
        refuse: Called before every write with `verb plural/name`; the API raises the error that it returns.
        on_write: Called after every write, with the same text.
        admit: Changes objects before they are stored, as a mutating webhook does.
    """

    def __init__(self) -> None:
        self.clock = ServerClock()
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.writes: list[str] = []
        self.refuse: Callable[[str], BaseException | None] = lambda _: None
        self.on_write: Callable[[str], None] = lambda _: None
        self.admit: Callable[[Resource, Object], Object] = lambda _, obj: obj
        self._applied: dict[tuple[object, ...], Object] = {}
        self._events: list[tuple[str, Object]] = []
        self._news = asyncio.Event()

    @property
    def host(self) -> str:
        return "api.invalid"

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return _copied(self._find(resource, namespace, name))

    async def list_pages(
        self, resource: Resource, selector: Selector = EVERYTHING
    ) -> AsyncIterator[tuple[list[Object], str]]:
        found = [obj for (plural, _, _), obj in sorted(self.objects.items()) if plural == resource.plural]
        page = [selector.kept(_copied(obj)) for obj in found if _is_selected(obj, selector)]
        yield page, str(len(self._events))

    async def watch(self, resource: Resource, selector: Selector, resource_version: str) -> AsyncIterator[Object]:
        position = int(resource_version)
        while True:
            while position < len(self._events):
                plural, event = self._events[position]
                position += 1
                if plural == resource.plural and _is_selected(event["object"], selector):
                    yield {**_copied(event), "object": selector.kept(_copied(event["object"]))}
            self._news.clear()
            await self._news.wait()

    async def create(self, resource: Resource, obj: Object) -> Object:
        self._ask("create", resource, obj["metadata"]["name"])
        if _address(resource, obj) in self.objects:
            raise errors.AlreadyExists(f"409 AlreadyExists: {obj['metadata']['name']}")
        return self._store("create", resource, obj)

    async def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        self._ask("replace", resource, obj["metadata"]["name"])
        found = self._find(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if obj["metadata"].get("resourceVersion", "") not in {"", found["metadata"]["resourceVersion"]}:
            raise errors.Conflict("409 Conflict: the object has been modified")
        kept = {name: found["metadata"][name] for name in ("uid", "creationTimestamp")}
        new = {**obj, "metadata": {**obj["metadata"], **kept}}
        return self._store("replace", resource, {**found, "status": obj.get("status")} if subresource else new)

    async def apply(self, resource: Resource, obj: Object, *, field_manager: str, subresource: str = "") -> Object:
        self._ask("apply", resource, obj["metadata"]["name"])
        address = _address(resource, obj)
        found = self.objects.get(address)
        uid = obj["metadata"].get("uid")
        if found is None and (subresource or uid):
            raise (errors.NotFound if subresource else errors.Conflict)(f"no such {resource.kind}")
        if found is not None and uid not in {None, found["metadata"]["uid"]}:
            raise errors.Rejected("422 Invalid: metadata.uid: field is immutable")
        version = obj["metadata"].get("resourceVersion")
        if found is not None and version not in {None, found["metadata"]["resourceVersion"]}:
            raise errors.Conflict("409 Conflict: the object has been modified")
        owner = (*address, field_manager)
        merged = _merged(found or {}, obj, self._applied.get(owner, {}))
        self._applied[owner] = _copied(obj)
        return self._store("apply", resource, merged)

    async def patch(
        self, resource: Resource, namespace: str, name: str, operations: list[Object], *, field_manager: str
    ) -> Object:
        del field_manager  # only `apply` takes field owners into account here
        self._ask("patch", resource, name)
        try:
            patched = jsonpatch.apply_patch(self._find(resource, namespace, name), json.dumps(operations))
        except jsonpatch.JsonPatchException as error:
            raise errors.Rejected(f"422 Invalid: {error}") from error
        return self._store("patch", resource, patched)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str = "", keeps_dependents: bool = False
    ) -> None:
        del keeps_dependents  # there is no garbage collector here
        self._ask("delete", resource, name)
        address = (resource.plural, namespace, name)
        if address not in self.objects:
            return
        if uid and self.objects[address]["metadata"]["uid"] != uid:
            raise errors.Conflict("409 Conflict: uid differs")
        obj = self.objects.pop(address)
        for owner in [owner for owner in self._applied if owner[:3] == address]:
            del self._applied[owner]
        self._tell("delete", "DELETED", resource, obj)

    def _find(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.objects.get((resource.plural, namespace, name))
        if found is None:
            raise errors.NotFound(f"404 NotFound: {resource.plural} {name}")
        return found

    def _store(self, verb: str, resource: Resource, obj: Object) -> Object:
        old = self.objects.get(_address(resource, obj))
        obj = self.admit(resource, obj)
        new = _defaulted({"apiVersion": resource.api_version, "kind": resource.kind, **_copied(obj)})
        number = len(self._events) + 1
        new["metadata"] = {"uid": f"uid-{number}", "creationTimestamp": _time(number), "generation": 1} | new[
            "metadata"
        ]
        if old is not None:
            if _content(new) == _content(old):
                return _copied(old)
            changed = new.get("spec") != old.get("spec")
            new["metadata"]["generation"] = old["metadata"]["generation"] + (1 if changed else 0)
        new["metadata"]["managedFields"] = [{"manager": "tests", "time": _time(number)}]
        new["metadata"]["resourceVersion"] = str(number)
        self.objects[_address(resource, new)] = new
        self._tell(verb, "MODIFIED" if old else "ADDED", resource, new)
        return _copied(new)

    def _tell(self, verb: str, kind: str, resource: Resource, obj: Object) -> None:
        told = _copied(obj)
        told["metadata"]["resourceVersion"] = str(len(self._events) + 1)
        self._events.append((resource.plural, {"type": kind, "object": told}))
        self.writes.append(f"{verb} {resource.plural}/{obj['metadata']['name']}")
        self._news.set()
        self.on_write(self.writes[-1])

    def _ask(self, verb: str, resource: Resource, name: str) -> None:
        if error := self.refuse(f"{verb} {resource.plural}/{name}"):
            raise error


def _copied(obj: T) -> T:
    """Copy JSON; several times as fast as `copy.deepcopy`, which would take most of a long test's time."""
    copied: T = orjson.loads(orjson.dumps(obj))
    return copied


def _merged(found: Any, desired: Any, before: Any) -> Any:
    """Merge as server-side apply does: fields that the manager applied before and now leaves out are removed."""
    if not isinstance(desired, dict) or not isinstance(found, dict):
        return _copied(desired)
    before = before if isinstance(before, dict) else {}
    merged = {key: value for key, value in found.items() if key in desired or key not in before}
    for key, value in desired.items():
        if key in ATOMIC or not isinstance(found.get(key), dict | list):
            merged[key] = _copied(value)
        elif isinstance(value, list) and key in MERGE_KEYS:
            merged[key] = _merged_list(MERGE_KEYS[key], found[key], value, before.get(key) or [])
        else:
            merged[key] = _merged(found[key], value, before.get(key))
    return merged


def _merged_list(by: str, found: list[Object], desired: list[Object], before: list[Object]) -> list[Object]:
    items, applied = {item.get(by): item for item in found}, {item.get(by): item for item in before}
    wanted = {item.get(by): item for item in desired}
    kept = [item for key, item in items.items() if key not in wanted and key not in applied]
    return [_merged(items.get(key, {}), item, applied.get(key)) for key, item in wanted.items()] + kept


def _defaulted(obj: Object) -> Object:
    if defaults := SPEC_DEFAULTS.get(obj["kind"]):
        obj["spec"] = defaults | obj["spec"]
    if obj["kind"] == "EndpointSlice":
        obj["endpoints"] = obj.get("endpoints") or None  # as the real API server writes an empty list there
    if pod := obj.get("spec", {}).get("template", {}).get("spec"):
        pod |= POD_DEFAULTS | pod
        pod["containers"] = [CONTAINER_DEFAULTS | container for container in pod["containers"]]
    return obj


def _content(obj: Object) -> Object:
    metadata = {**obj["metadata"], "managedFields": None, "resourceVersion": None, "generation": None}
    return {**obj, "metadata": metadata}


def _is_selected(obj: Object, selector: Selector) -> bool:
    metadata = obj["metadata"]
    terms = [term for term in selector.labels.split(",") if term]
    labels = dict(term.split("=") for term in terms if "=" in term)
    absent = {term.removeprefix("!") for term in terms if term.startswith("!")}
    fields = dict(pair.split("=") for pair in selector.fields.split(",") if pair)
    return (
        selector.namespace in {"", metadata.get("namespace", "")}
        and labels.items() <= metadata.get("labels", {}).items()
        and not absent & metadata.get("labels", {}).keys()
        and fields.get("metadata.name", metadata["name"]) == metadata["name"]
    )


def _address(resource: Resource, obj: Object) -> tuple[str, str, str]:
    return resource.plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _time(number: int) -> str:
    return f"2026-11-23T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
