"""SessionStorages as their status shows them, and their Valkey pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.demo.errors import Surprise
from deploy.demo.kube import until
from deploy.demo.proxies import is_ready

if TYPE_CHECKING:
    from deploy.demo.kube import Kube, Object

KIND: Final = "sessionstorages.toolhive.stacklok.dev"
REVIVAL_SECONDS: Final = 60


def condition(storage: Object, kind: str) -> Object:
    """Return a condition of a storage; empty if it has none of that type."""
    conditions: list[Object] = storage.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind), {})


def await_finding(kube: Kube, key: tuple[str, str], kind: str, reason: str) -> Object:
    """Wait until a storage has a condition with this reason, and return the condition."""
    namespace, name = key

    def found() -> Object | None:
        stated = condition(kube.get(KIND, name, namespace) or {}, kind)
        return stated if stated.get("reason") == reason else None

    return until(f"SessionStorage {namespace}/{name} has condition {kind} with reason {reason}", found, 30)


def kill_valkey(kube: Kube, namespace: str, storage: str) -> None:
    """Delete the primary's pod without grace, and wait until there is a ready one."""
    found = primary_pod(kube, namespace, storage)
    if found is None:
        raise Surprise(f"SessionStorage {namespace}/{storage} has no primary")
    kube.run("delete", "pod", found["metadata"]["name"], "--force", "--grace-period=0", namespace=namespace)
    await_revival(kube, namespace, storage, found["metadata"]["uid"])


def await_revival(kube: Kube, namespace: str, storage: str, uid: str) -> None:
    """Wait until a storage's primary has a ready pod with another uid than this."""

    def revived() -> bool:
        pod = primary_pod(kube, namespace, storage)
        return pod is not None and pod["metadata"]["uid"] != uid and is_ready(pod)

    until(f"the primary of {storage} has a new pod that is ready", revived, REVIVAL_SECONDS)


def primary_pod(kube: Kube, namespace: str, storage: str) -> Object | None:
    """Find the pod of a storage's primary; None if there is none now."""
    pod = (kube.get(KIND, storage, namespace) or {}).get("status", {}).get("primaryPod")
    return kube.get("pod", pod, namespace) if pod else None


def valkey_pod(storage: str) -> str:
    """Name the first pod of a storage, which is the only one of a new storage with one instance."""
    return f"{storage}-valkey-0-0"
