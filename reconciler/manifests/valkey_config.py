"""Writes the configuration file that all Valkey instances of a storage share. Pure; it holds no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.manifests.eviction import EVICTION_FILE, Eviction
from shared import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifests.storage import Storage
    from shared.objects.resources import Object

CONFIG_DIRECTORY: Final = "/valkey/config"
CONFIG_FILE: Final = "valkey.conf"
PRIMARY_FILE: Final = "primary"
"""Beside the configuration: the number of the instance that is primary."""
INSTANCES_FILE: Final = "nodes"
"""Beside the configuration: the numbers of all instances, with a space in between."""
UPSTREAM_FILE: Final = "upstream"
"""Beside the configuration: the host by which an instance that starts as a replica reaches the primary."""
ACL_DIRECTORY: Final = "/valkey/acl"
"""Where kubelet mounts the instance's part of the auth Secret; kubelet refreshes it up to 90 s late."""
LIVE_DIRECTORY: Final = "/valkey/live-acl"
"""Where the instance keeps its own ACL file: first a copy of the Secret's, from then on what `ACL SAVE` writes."""
START_FILE: Final = "start.conf"
"""Beside the ACL file: what is known only as the instance starts, such as the password for replication."""
DATA_DIRECTORY: Final = "/data"
FENCE_LAG_SECONDS: Final = 3
"""Value of `min-replicas-max-lag`: a replica that was silent for longer does not count; Valkey counts whole seconds."""
BUSY_MILLISECONDS: Final = 2000
"""How long a script may keep all other clients waiting. After that Valkey answers them again, with errors, and lets the
reconciler end the script: before a failover, which begins after 4.5 s of silence (`failover.decision.FENCE_SECONDS`).
ToolHive's scripts take microseconds."""


def valkey_conf() -> str:
    """Write the part of `valkey.conf` that all instances share.

    Sources: `valkey.conf` of Valkey 9.1; the proposal for persistence and eviction.
    """
    directives = {
        "port": names.VALKEY_PORT,
        "bind": "* -::*",
        # The ACL file and the NetworkPolicy protect; protected mode would refuse every other pod.
        "protected-mode": "no",
        "dir": DATA_DIRECTORY,
        "aclfile": f"{LIVE_DIRECTORY}/{names.KEY_USERS_ACL}",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        # Until the instance's own start says otherwise (`start_command`).
        "maxmemory-policy": Eviction.ANY_KEY,
        # With it Valkey notices a dead client within about two minutes; without it, never.
        "tcp-keepalive": 60,
        # A primary that stops flushes to its replicas either way. Their acknowledgements come once a second; if the
        # primary waits for them, clients wait too: 0.15-1.7 s in 12 stops, and 0.01-0.10 s without.
        "shutdown-timeout": 0,
        # Replicas are few: one that connects need not wait 5 s for others to connect too.
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": 0,
        "repl-diskless-load": "on-empty-db",
        # When a replica last heard its primary tells a dead primary from one that only the reconciler cannot reach.
        "repl-ping-replica-period": 1,
        # A replica that is not synchronised then refuses reads, and the readiness probe's PING.
        "replica-serve-stale-data": "no",
        "min-replicas-max-lag": FENCE_LAG_SECONDS,
        "busy-reply-threshold": BUSY_MILLISECONDS,
        "include": f"{LIVE_DIRECTORY}/{START_FILE}",
    }
    return "".join(f"{name} {value}\n" for name, value in directives.items())


def config_map(
    storage: Storage, primary: int, instances: Sequence[int], upstream: str, eviction: Eviction = Eviction.ANY_KEY
) -> Object:
    """Build the ConfigMap that instances read as they start; see `topology`."""
    data = {CONFIG_FILE: valkey_conf(), EVICTION_FILE: str(eviction), **topology(primary, instances, upstream)}
    return {"metadata": storage.metadata(names.valkey(storage.name)), "data": data}


def topology(primary: int, instances: Sequence[int], upstream: str) -> dict[str, str]:
    """Write the files by which an instance learns about the storage as it starts.

    Args:
        primary: Number of the instance that is primary.
        instances: Numbers of all instances that there are to be.
        upstream: Host by which replicas reach the primary. The Service's address is best: it stays as long as the
            Service exists, and reaching it needs no DNS.
    """
    numbers = " ".join(map(str, sorted(instances)))
    return {PRIMARY_FILE: str(primary), INSTANCES_FILE: numbers, UPSTREAM_FILE: upstream}
