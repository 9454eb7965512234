"""Builds the container that runs Valkey: its command, its resources, its probes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.manifests import start_command, valkey_config
from shared import names
from shared.objects import quantities

if TYPE_CHECKING:
    from reconciler.manifests.instance_spec import Image, InstanceSpec
    from shared.objects.resources import Object

CONTAINER: Final = "valkey"
_CLIENT: Final = f"valkey-cli --user {identities.PROBE.user}"
_IS_ALIVE: Final = f'answer=$({_CLIENT} ping) && case "$answer" in BUSY*) echo "$answer"; exit 1;; esac'
"""Whatever a server answers, it lives: also an error, as while it reads its data or its disk is full, so no `-e`. Only
a script that has run for two minutes counts as death: the reconciler ends scripts within seconds, and cannot end one
that has written. What such a script wrote, nobody got an answer to; all else is in the file."""
_IS_READY: Final = (
    f"set -- $(printf 'PING\\nROLE\\n' | {_CLIENT})"
    f' && if [ "$1" != PONG ]; then echo "$@"; exit 1; fi'
    f' && echo "$2" > {start_command.ROLE_FILE}.new && mv {start_command.ROLE_FILE}.new {start_command.ROLE_FILE}'
)
"""An instance that still reads its AOF, or has no link to its primary, is alive, but not ready. One that is ready notes
its role, for a server that starts again in its container."""


def container(instance: InstanceSpec, image: Image, cpu_limit: int) -> Object:
    """Build the container of an instance.

    Args:
        instance: The instance.
        image: Image of Valkey.
        cpu_limit: In thousandths of a core; 0 for none.
    """
    preset = instance.preset
    memory = quantities.memory(preset.memory_mib)
    host = names.valkey_host(instance.storage, instance.namespace)
    limits = {"memory": memory} | ({"cpu": quantities.cpu(cpu_limit)} if cpu_limit else {})
    return {
        "name": CONTAINER,
        "image": image.reference,
        "imagePullPolicy": image.pull_policy,
        "command": ["sh", "-c", start_command.start_command(instance.index, host, preset)],
        "ports": [{"name": "valkey", "containerPort": names.VALKEY_PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": quantities.cpu(preset.cpu_millis), "memory": memory}, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": _probe(_IS_READY) | {"initialDelaySeconds": 1, "periodSeconds": 5, "timeoutSeconds": 3},
        "livenessProbe": _probe(_IS_ALIVE) | {"periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [
            {"name": "data", "mountPath": valkey_config.DATA_DIRECTORY},
            {"name": "config", "mountPath": valkey_config.CONFIG_DIRECTORY, "readOnly": True},
            {"name": "acl", "mountPath": valkey_config.ACL_DIRECTORY, "readOnly": True},
            {"name": "live-acl", "mountPath": valkey_config.LIVE_DIRECTORY},
        ],
    }


def _probe(command: str) -> Object:
    """Build a probe as the identity `probe`; the password comes from a file, never from a command line."""
    password_file = f"{valkey_config.ACL_DIRECTORY}/{identities.PROBE.key}"
    return {"exec": {"command": ["sh", "-c", f'export REDISCLI_AUTH="$(cat {password_file})"; {command}']}}
