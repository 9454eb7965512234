"""SessionStorages as their status shows them, and their Valkey pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
    """Delete the Valkey pod of a one-instance storage without grace, and wait until its successor is ready."""
    pod = valkey_pod(storage)
    found = kube.get("pod", pod, namespace)
    kube.run("delete", "pod", pod, "--force", "--grace-period=0", namespace=namespace)
    await_revival(kube, namespace, storage, found["metadata"]["uid"] if found else "")


def await_revival(kube: Kube, namespace: str, storage: str, uid: str) -> None:
    """Wait until a one-instance storage has a ready Valkey pod with another uid than this."""

    def revived() -> bool:
        pod = kube.get("pod", valkey_pod(storage), namespace)
        return pod is not None and pod["metadata"]["uid"] != uid and is_ready(pod)

    until(f"a new pod {valkey_pod(storage)} is ready", revived, REVIVAL_SECONDS)


def valkey_pod(storage: str) -> str:
    """Name the pod of a one-instance storage."""
    return f"{storage}-valkey-0-0"
