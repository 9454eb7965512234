"""The refusals of a SessionStorage that depend on more than the object: on the installation and on the author."""

from __future__ import annotations

from typing import Final

from tests.rules.rule import ANN, EXTERNAL, TEAM, StorageRule

_NEXT: Final = (
    "name another host, or ask whoever installed this product to add it to the chart value external.allowedHosts"
)
_LENT_EYES: Final = "The reconciler can read every Secret; nobody may use it to learn a password."

RULES: Final = (
    StorageRule(
        when="the address is one that the chart refuses by default",
        spec={"external": {**EXTERNAL, "url": "redis://169.254.169.254:80"}},
        says=(
            "spec.external.url: Forbidden: 169.254.169.254 is the address of a cloud's metadata service, or leads"
            f" there, and storages may not use it: {_NEXT}"
        ),
        why=(
            "The reconciler connects from inside the cluster. Refused are link-local, loopback, unspecified and"
            " multicast addresses, metadata services and the API server; for names, the reconciler judges what they"
            " lead to."
        ),
    ),
    StorageRule(
        when="the host is not in the chart value `external.allowedHosts`",
        spec={"external": EXTERNAL},
        allowed=("*.cache.example.com",),
        says=(
            "spec.external.url: Forbidden: redis.example.com is not in the list of hosts that storages may use here:"
            f" {_NEXT}"
        ),
        why="Whoever installed the product decides which stores there are.",
        is_seen=False,
    ),
    StorageRule(
        when="its author may not read the Secret",
        spec={"external": EXTERNAL},
        may_read=False,
        says=(
            f'spec.external.secretRef: Forbidden: user "{ANN}" may not read Secret "redis-auth", whose password would'
            " be sent to the store: somebody who may can write this SessionStorage, or give this user the right:"
            f" kubectl create role read-redis-auth -n {TEAM} --verb=get --resource=secrets --resource-name=redis-auth;"
            f" kubectl create rolebinding read-redis-auth -n {TEAM} --role=read-redis-auth --user={ANN}"
        ),
        why=f"{_LENT_EYES} The webhook asks when Secret or address are set or changed.",
        is_seen=False,
    ),
    StorageRule(
        when="the API server does not say whether its author may read the Secret",
        spec={"external": EXTERNAL},
        may_read=None,
        says=(
            "spec.external.secretRef: Forbidden: the API server did not say in time whether you may read Secret"
            ' "redis-auth": try again'
        ),
        why=_LENT_EYES,
        is_seen=False,
    ),
)
