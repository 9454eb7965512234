"""How a Valkey instance is set up: its configuration file, and how it starts. Pure.

What all instances of a storage share is in a ConfigMap; what depends on the size is in the pod's own command, because
instances of two sizes run side by side while a storage changes its size. Neither holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from shared import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.session_storage.sizes import Preset

CONFIG_DIRECTORY: Final = "/valkey/config"
CONFIG_FILE: Final = "valkey.conf"
PRIMARY_FILE: Final = "primary"
"""Beside the configuration: the number of the instance that is primary."""
INSTANCES_FILE: Final = "nodes"
"""Beside the configuration: the numbers of all instances, with a space in between."""
ACL_DIRECTORY: Final = "/valkey/acl"
"""Where the auth Secret's part for the instance is mounted; kubelet refreshes it up to 90 s late."""
LIVE_DIRECTORY: Final = "/valkey/live-acl"
"""Where the instance's own ACL file is: a copy of the Secret's, and from then on what `ACL SAVE` writes."""
START_FILE: Final = "start.conf"
"""Beside the ACL file: what is known only as the instance starts, the password of replicas among it."""
DATA_DIRECTORY: Final = "/data"
FENCE_LAG_SECONDS: Final = 3
"""How long a replica that counts may have been silent; Valkey counts whole seconds."""
STOP_SECONDS: Final = 0.5
"""How long an instance that is told to stop goes on. Clients that it has are served meanwhile, new ones go elsewhere as
soon as nodes have learnt that its pod goes (0.05-0.3 s), and a primary is taken over from while it lives. Without that,
who connects again meets an address behind which there is nothing, and waits for a time-out of its own. A pod that is
deleted by force has two seconds for all of it (kubelet, `minimumGracePeriodInSeconds`)."""
LARGEST_EMPTY_BASE: Final = 119
"""Bytes of the base of an AOF without a key: 89 when Valkey 9.1 starts on an empty disk. After a synchronisation it is
170 and more, because it then says with which history it goes."""


def valkey_conf() -> str:
    """Write `valkey.conf`, as far as all instances share it.

    Sources: `valkey.conf` of Valkey 9.1; the proposal for persistence and eviction.
    """
    directives = {
        "port": names.VALKEY_PORT,
        "bind": "* -::*",
        # The ACL file and the NetworkPolicy protect; protected mode would refuse every pod but our own.
        "protected-mode": "no",
        "dir": DATA_DIRECTORY,
        "aclfile": f"{LIVE_DIRECTORY}/{names.KEY_USERS_ACL}",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "allkeys-lru",
        # A dead client is noticed within about two minutes, not never.
        "tcp-keepalive": 60,
        # Who stops flushes to its replicas either way. To wait until they say that they have it takes up to the second
        # between two acknowledgements, and clients wait with it: in 12 stops 0.15-1.7 s, and 0.01-0.10 s without.
        "shutdown-timeout": 0,
        # Replicas are few: one that comes need not wait 5 s for others to come with it.
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": 0,
        "repl-diskless-load": "on-empty-db",
        # What a replica last heard of its primary is what tells a dead primary from one that only we cannot reach.
        "repl-ping-replica-period": 1,
        # An unsynchronised replica refuses reads, and the PING of a readiness probe with them.
        "replica-serve-stale-data": "no",
        "min-replicas-max-lag": FENCE_LAG_SECONDS,
        "include": f"{LIVE_DIRECTORY}/{START_FILE}",
    }
    return "".join(f"{name} {value}\n" for name, value in directives.items())


def start_command(instance: int, host: str, preset: Preset) -> str:
    """Write the shell command that starts an instance.

    A new pod takes the ACL file from the Secret, which is mounted fresh. A container that starts again in the same pod
    keeps the file that the instance has saved since: the mounted one may be older than what was agreed on by `ACL
    SETUSER`. The file gets its name last, so that a crash leaves either no file or a whole one. The shell stays, to
    have the server stop a little later than it is told to.

    An instance starts as a replica of whoever the Service names. It starts as the primary only if it was told to be,
    and if its data has survived or there is no other instance: one that is empty would have all replicas empty
    themselves too.

    Args:
        instance: Its number.
        host: Of the Service that names the primary.
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
    kept = (
        f"find {DATA_DIRECTORY}/appendonlydir -name '*.incr.aof' -size +0c"
        f" -o -name '*.base.rdb' -size +{LARGEST_EMPTY_BASE}c 2>/dev/null | grep -q ."
    )
    named = f'[ "$(cat {config}/{PRIMARY_FILE})" = {instance} ]'
    following = f"echo 'replicaof {host} {names.VALKEY_PORT}' >> {start}"
    alone = f'[ "$(cat {config}/{INSTANCES_FILE})" = {instance} ]'
    steps = (
        "umask 077",
        f"[ -e {live} ] || {{ cp {mounted} {live}.new && mv {live}.new {live}; }}",
        f"printf '%s\\n' {lines} \"primaryauth $(cat {password})\" > {start}",
        f"if ! {named} || ! {{ {alone} || {kept}; }}; then {following}; fi",
        f"{{ valkey-server {config}/{CONFIG_FILE} & }}",
        "server=$!",
        f'trap "sleep {STOP_SECONDS:g}; kill $server" TERM',
        # A signal ends a wait, and not the server.
        "while kill -0 $server 2>/dev/null; do wait $server; done",
    )
    return " && ".join(steps)


def topology(primary: int, instances: Sequence[int]) -> dict[str, str]:
    """Write what an instance is told about the storage as it starts."""
    return {PRIMARY_FILE: str(primary), INSTANCES_FILE: " ".join(map(str, sorted(instances)))}
