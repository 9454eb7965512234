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
        "aclfile": f"{ACL_DIRECTORY}/{names.KEY_USERS_ACL}",
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


def config_hash(preset: Preset) -> str:
    """Tell configurations apart that need a restart of the node to take effect."""
    text = valkey_conf(preset) + credentials.rules()
    return hashlib.sha256(text.encode()).hexdigest()[:16]
