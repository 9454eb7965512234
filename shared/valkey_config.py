"""The configuration file of a Valkey node. Pure; it holds no secret, so a ConfigMap may carry it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from shared import credentials, names

if TYPE_CHECKING:
    from shared.sizes import Preset

CONFIG_DIRECTORY: Final = "/valkey/config"
CONFIG_FILE: Final = "valkey.conf"
ACL_DIRECTORY: Final = "/valkey/acl"
"""Where the auth Secret's part for the node is mounted; kubelet refreshes it up to 90 s late."""
LIVE_ACL_DIRECTORY: Final = "/valkey/live-acl"
"""Where the node's own ACL file is: a copy of the Secret's, and from then on what `ACL SAVE` writes."""
DATA_DIRECTORY: Final = "/data"


def valkey_conf(preset: Preset) -> str:
    """Write `valkey.conf` for a size.

    Sources: `valkey.conf` of Valkey 9.1; the proposal for persistence and eviction.
    """
    directives = {
        "port": names.VALKEY_PORT,
        "bind": "* -::*",
        # The ACL file and the NetworkPolicy protect; protected mode would refuse every pod but our own.
        "protected-mode": "no",
        "dir": DATA_DIRECTORY,
        "aclfile": f"{LIVE_ACL_DIRECTORY}/{names.KEY_USERS_ACL}",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory": preset.maxmemory_bytes,
        "maxmemory-policy": "allkeys-lru",
        # A dead client is noticed within about two minutes, not never.
        "tcp-keepalive": 60,
        # Well under the default grace period of a pod, so that a stop is always a clean one.
        "shutdown-timeout": 10,
    }
    return "".join(f"{name} {value}\n" for name, value in directives.items())


def start_command() -> str:
    """Write the shell command that starts a node.

    A new pod takes the ACL file from the Secret, which is mounted fresh. A container that starts again in the same pod
    keeps the file that the node has saved since: the mounted one may be older than what was agreed on by `ACL SETUSER`.
    The file gets its name last, so that a crash leaves either no file or a whole one.
    """
    mounted, live = f"{ACL_DIRECTORY}/{names.KEY_USERS_ACL}", f"{LIVE_ACL_DIRECTORY}/{names.KEY_USERS_ACL}"
    copy = f"[ -e {live} ] || {{ cp {mounted} {live}.new && mv {live}.new {live}; }}"
    return f"{copy} && exec valkey-server {CONFIG_DIRECTORY}/{CONFIG_FILE}"


def config_hash(preset: Preset) -> str:
    """Tell configurations apart that need a restart of the node to take effect."""
    text = valkey_conf(preset) + start_command() + credentials.rules()
    return hashlib.sha256(text.encode()).hexdigest()[:16]
