"""Writes the shell command that starts a Valkey instance, and starts it again when it dies. Pure; it holds no secret.

The command holds what depends on the size, because instances of two sizes run side by side while a storage changes its
size. It needs a shell and the coreutils alone: an image need not have `find` or `grep`. `flock` is in every image that
is made from Debian (package util-linux, essential) or has Busybox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.manifests.eviction import EVICTION_FILE, Eviction
from reconciler.manifests.valkey_config import (
    ACL_DIRECTORY,
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    DATA_DIRECTORY,
    INSTANCES_FILE,
    LIVE_DIRECTORY,
    PRIMARY_FILE,
    START_FILE,
    UPSTREAM_FILE,
)
from reconciler.state.replication_info import PRIMARY
from shared import names

if TYPE_CHECKING:
    from shared.session_storage.sizes import Preset

ROLE_FILE: Final = f"{LIVE_DIRECTORY}/role"
"""The role that the server had when it was last ready, in Valkey's words; the readiness probe writes it."""
LOCK_FILE: Final = f"{DATA_DIRECTORY}/lock"
STOP_SECONDS: Final = 1.2
"""How long an instance goes on after kubelet tells it to stop. Meanwhile it serves the clients that it has, new ones go
elsewhere as soon as nodes have learnt that its pod is stopping, and another instance takes over from a primary that
still lives. kube-proxy takes changes at most once a second, so nodes have learnt after little more than that. Without
this, a client that connects again meets an address behind which there is nothing, and waits for a time-out of its own
(3.8 s were seen). A pod that is deleted by force has two seconds for all of it (kubelet,
`minimumGracePeriodInSeconds`)."""
STOPPING_FILE: Final = f"{LIVE_DIRECTORY}/stopping"
"""A server that is told to stop makes this file. If the reconciler then has it write its ACL file, which is newer from
then on, a primary goes on until another instance has taken over."""
HOLD_LOOKS: Final = 100
"""How often such a primary looks whether another instance has taken over, every 0.2 s and a bit: for some 21 s in all.
Of the 30 s that kubelet gives it, the rest is for the last writes to the disk."""
SHORTEST_RUN_SECONDS: Final = 10
"""If a server ends sooner after its start, its container ends too: kubelet waits longer from time to time, and the API
says that the container crashes."""
YIELD_SECONDS: Final = 1
"""How long a server that has replicas stays away after it died: another one takes over within a fraction of that,
unless no reconciler can."""
LARGEST_EMPTY_BASE: Final = 119
"""An AOF's base of at most this many bytes has no key: Valkey 9.1 writes 89 when it starts on an empty disk. After a
synchronisation it writes 170 and more, because the base then also names the lineage."""
_EXIT_IF_STOPPING: Final = 'if [ -n "$is_stopping" ]; then exit 0; fi'


def start_command(instance: int, host: str, preset: Preset) -> str:
    """Write the command that starts an instance.

    A new pod copies the ACL file from the Secret, which kubelet has just mounted. A container that restarts in the same
    pod keeps the file that the instance has saved since: the mounted one may be older than what the reconciler set by
    `ACL SETUSER`. The command renames the copy last, so that a crash leaves either no file or a whole one.

    The shell keeps running, so that the server stops a little later than kubelet asks, and starts again when it dies.
    Kubelet starts no container that has a volume while the API server is away, because it reads the volume's claim
    there (Kubernetes 1.36, `pkg/kubelet/volumemanager/populator`, `getPVCExtractPV`).

    No server starts on a disk while another one uses it. After a forced deletion, the new pod may start before kubelet
    has ended the former one, whose server still answers its clients: the new server would read the data without their
    last writes, and they would be lost. The kernel drops the lock when the last process of a pod has ended.

    Args:
        instance: Its number.
        host: Host name of the Service that names the primary, for a ConfigMap that says nothing of it.
        preset: What the instance's size decides.
    """
    live, mounted = f"{LIVE_DIRECTORY}/{names.KEY_USERS_ACL}", f"{ACL_DIRECTORY}/{names.KEY_USERS_ACL}"
    once = (
        "umask 077",
        f"exec 9>>{LOCK_FILE}",
        "{ flock 9 || echo 'cannot lock the disk: a former server may still use it'; }",
        _has_data(),
        f"rm -f {ROLE_FILE}",
        f"[ -e {live} ] || {{ cp {mounted} {live}.new && mv {live}.new {live}; }}",
        _leads(),
        _stop(live),
    )
    again = (
        *_configure(instance, host, preset),
        f"{{ valkey-server {CONFIG_DIRECTORY}/{CONFIG_FILE} & }}",
        "server=$! began=$(date +%s)",
        # A signal ends the shell's wait, and not the server.
        "while wait $server; status=$?; kill -0 $server 2>/dev/null; do :; done",
        _EXIT_IF_STOPPING,
        f"if [ $(($(date +%s) - began)) -lt {SHORTEST_RUN_SECONDS} ]; then exit $status; fi",
        'echo "valkey-server ended with status $status, and starts again"',
        f"sleep {YIELD_SECONDS if preset.is_redundant else 0}",
    )
    return f"{' && '.join(once)} && while {' && '.join(again)}; do {_EXIT_IF_STOPPING}; done"


def _configure(instance: int, host: str, preset: Preset) -> tuple[str, ...]:
    """Write the directives of this start, and decide whether the instance starts as a replica.

    An instance starts as a replica of the instance that the Service names, and the ConfigMap says how to reach that
    Service. It starts as the primary only if the ConfigMap names it, and if its data has survived or there is no other
    instance: all replicas of an empty primary would empty themselves too. A server that starts again in its container
    goes by the role that it had instead, because kubelet refreshes a mounted ConfigMap up to 90 s late. If another
    instance has taken over meanwhile, the fence keeps it from taking writes: no replica follows it.
    """
    start, config = f"{LIVE_DIRECTORY}/{START_FILE}", CONFIG_DIRECTORY
    sized = {
        "maxmemory": preset.maxmemory_bytes,
        "repl-backlog-size": preset.backlog_bytes,
        "min-replicas-to-write": preset.fence,
        "primaryuser": identities.REPLICATION.user,
    }
    lines = " ".join(f"'{name} {value}'" for name, value in sized.items())
    # A ConfigMap that a former release wrote has no such file.
    eviction = f"$(cat {config}/{EVICTION_FILE} 2>/dev/null || echo {Eviction.ANY_KEY})"
    password = f"{ACL_DIRECTORY}/{identities.REPLICATION.key}"
    led = f'[ "$(cat {ROLE_FILE})" = {PRIMARY} ]'
    named = f'if [ -s {ROLE_FILE} ]; then {led}; else [ "$(cat {config}/{PRIMARY_FILE})" = {instance} ]; fi'
    alone = f'[ "$(cat {config}/{INSTANCES_FILE})" = {instance} ]'
    upstream = f"upstream=$(cat {config}/{UPSTREAM_FILE} 2>/dev/null)"
    following = f'{upstream}; echo "replicaof ${{upstream:-{host}}} {names.VALKEY_PORT}" >> {start}'
    return (
        f'printf \'%s\\n\' {lines} "maxmemory-policy {eviction}" "primaryauth $(cat {password})" > {start}',
        f"if ! {{ {named}; }} || ! {{ {alone} || has_data; }}; then {following}; fi",
    )


def _stop(acl_file: str) -> str:
    """Stop the server a little later than kubelet asks, or much later if the reconciler asks for that meanwhile."""
    is_held = f"[ {acl_file} -nt {STOPPING_FILE} ] && [ $looks -gt 0 ] && leads"
    return (
        f"trap 'is_stopping=1; : > {STOPPING_FILE}; sleep {STOP_SECONDS:g}; looks={HOLD_LOOKS};"
        f" while {is_held}; do looks=$((looks - 1)); sleep 0.2; done; kill $server' TERM"
    )


def _leads() -> str:
    """Define the function `leads`, which tells whether the server says that it is the primary."""
    password = f"{ACL_DIRECTORY}/{identities.PROBE.key}"
    ask = f'REDISCLI_AUTH="$(cat {password})" valkey-cli --user {identities.PROBE.user} role'
    return f'leads() {{ set -- $({ask}); [ "$1" = {PRIMARY} ]; }}'


def _has_data() -> str:
    """Define the function `has_data`, which tells whether the instance's disk holds a key."""
    files = f"{DATA_DIRECTORY}/appendonlydir"
    return (
        f"has_data() {{ for file in {files}/*.incr.aof; do if [ -s $file ]; then return 0; fi; done;"
        f" for file in {files}/*.base.rdb; do"
        f" if [ -e $file ] && [ $(wc -c < $file) -gt {LARGEST_EMPTY_BASE} ]; then return 0; fi; done; return 1; }}"
    )
