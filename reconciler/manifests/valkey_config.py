"""Writes the configuration file of Valkey instances, and the command that starts one. Pure.

A ConfigMap holds what all instances of a storage share. The pod's own command holds what depends on the size, because
instances of two sizes run side by side while a storage changes its size. Neither holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.state.replication_info import PRIMARY
from shared import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifests.storage import Storage
    from shared.objects.resources import Object
    from shared.session_storage.sizes import Preset

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
ROLE_FILE: Final = f"{LIVE_DIRECTORY}/role"
"""The role that the server had when it was last ready, in Valkey's words; the readiness probe writes it."""
DATA_DIRECTORY: Final = "/data"
FENCE_LAG_SECONDS: Final = 3
"""Value of `min-replicas-max-lag`: a replica that was silent for longer does not count; Valkey counts whole seconds."""
STOP_SECONDS: Final = 0.5
"""How long an instance goes on after kubelet tells it to stop. Meanwhile it serves the clients that it has, new ones go
elsewhere as soon as nodes have learnt that its pod is stopping (0.05-0.3 s), and another instance takes over from a
primary that still lives. Without this, a client that connects again meets an address behind which there is nothing, and
waits for a time-out of its own. A pod that is deleted by force has two seconds for all of it (kubelet,
`minimumGracePeriodInSeconds`)."""
SHORTEST_RUN_SECONDS: Final = 10
"""If a server ends sooner after its start, its container ends too: kubelet waits longer from time to time, and the API
says that the container crashes."""
YIELD_SECONDS: Final = 1
"""How long a server that has replicas stays away after it died: another one takes over within a fraction of that,
unless no reconciler can."""
LARGEST_EMPTY_BASE: Final = 119
"""An AOF's base of at most this many bytes has no key: Valkey 9.1 writes 89 when it starts on an empty disk. After a
synchronisation it writes 170 and more, because the base then also names the lineage."""


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
        "maxmemory-policy": "allkeys-lru",
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
        "include": f"{LIVE_DIRECTORY}/{START_FILE}",
    }
    return "".join(f"{name} {value}\n" for name, value in directives.items())


def start_command(instance: int, host: str, preset: Preset) -> str:
    """Write the shell command that starts an instance.

    A new pod copies the ACL file from the Secret, which kubelet has just mounted. A container that restarts in the same
    pod keeps the file that the instance has saved since: the mounted one may be older than what the reconciler set by
    `ACL SETUSER`. The command renames the copy last, so that a crash leaves either no file or a whole one.

    The shell keeps running, so that the server stops a little later than kubelet asks, and starts again when it dies.
    Kubelet starts no container that has a volume while the API server is away, because it reads the volume's claim
    there (Kubernetes 1.36, `pkg/kubelet/volumemanager/populator`, `getPVCExtractPV`).

    An instance starts as a replica of the instance that the Service names, and the ConfigMap says how to reach that
    Service. It starts as the primary only if the ConfigMap names it, and if its data has survived or there is no other
    instance: all replicas of an empty primary would empty themselves too. A server that starts again in its container
    goes by the role that it had instead, because kubelet refreshes a mounted ConfigMap up to 90 s late. If another
    instance has taken over meanwhile, the fence keeps it from taking writes: no replica follows it.

    Args:
        instance: Its number.
        host: Host name of the Service that names the primary, for a ConfigMap that says nothing of it.
        preset: What the instance's size decides.
    """
    live, mounted = f"{LIVE_DIRECTORY}/{names.KEY_USERS_ACL}", f"{ACL_DIRECTORY}/{names.KEY_USERS_ACL}"
    start, config = f"{LIVE_DIRECTORY}/{START_FILE}", CONFIG_DIRECTORY
    password = f"{ACL_DIRECTORY}/{identities.REPLICATION.key}"
    sized = {
        "maxmemory": preset.maxmemory_bytes,
        "repl-backlog-size": preset.backlog_bytes,
        "min-replicas-to-write": preset.fence,
        "primaryuser": identities.REPLICATION.user,
    }
    lines = " ".join(f"'{name} {value}'" for name, value in sized.items())
    # Only what every shell and the coreutils have: an image need not have `find` or `grep`.
    files = f"{DATA_DIRECTORY}/appendonlydir"
    kept = (
        f"has_data() {{ for file in {files}/*.incr.aof; do if [ -s $file ]; then return 0; fi; done;"
        f" for file in {files}/*.base.rdb; do"
        f" if [ -e $file ] && [ $(wc -c < $file) -gt {LARGEST_EMPTY_BASE} ]; then return 0; fi; done; return 1; }}"
    )
    led = f'[ "$(cat {ROLE_FILE})" = {PRIMARY} ]'
    named = f'if [ -s {ROLE_FILE} ]; then {led}; else [ "$(cat {config}/{PRIMARY_FILE})" = {instance} ]; fi'
    upstream = f"upstream=$(cat {config}/{UPSTREAM_FILE} 2>/dev/null)"
    following = f'{upstream}; echo "replicaof ${{upstream:-{host}}} {names.VALKEY_PORT}" >> {start}'
    alone = f'[ "$(cat {config}/{INSTANCES_FILE})" = {instance} ]'
    once = (
        "umask 077",
        kept,
        f"rm -f {ROLE_FILE}",
        f"[ -e {live} ] || {{ cp {mounted} {live}.new && mv {live}.new {live}; }}",
        f"trap 'is_stopping=1; sleep {STOP_SECONDS:g}; kill $server' TERM",
    )
    again = (
        f"printf '%s\\n' {lines} \"primaryauth $(cat {password})\" > {start}",
        f"if ! {{ {named}; }} || ! {{ {alone} || has_data; }}; then {following}; fi",
        f"{{ valkey-server {config}/{CONFIG_FILE} & }}",
        "server=$! began=$(date +%s)",
        # A signal ends the shell's wait, and not the server.
        "while kill -0 $server 2>/dev/null; do wait $server; status=$?; done",
        'if [ -n "$is_stopping" ]; then exit 0; fi',
        f"if [ $(($(date +%s) - began)) -lt {SHORTEST_RUN_SECONDS} ]; then exit $status; fi",
        'echo "valkey-server ended with status $status, and starts again"',
        f"sleep {YIELD_SECONDS if preset.is_redundant else 0}",
    )
    return f'{" && ".join(once)} && while {" && ".join(again)}; do if [ -n "$is_stopping" ]; then exit 0; fi; done'


def config_map(storage: Storage, primary: int, instances: Sequence[int], upstream: str) -> Object:
    """Build the ConfigMap that instances read as they start; see `topology`."""
    data = {CONFIG_FILE: valkey_conf(), **topology(primary, instances, upstream)}
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
