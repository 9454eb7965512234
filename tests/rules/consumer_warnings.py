"""Every warning about a consumer that refers to a storage."""

from __future__ import annotations

from typing import Any, Final

from shared.names import ANNOTATION_INJECTION
from shared.objects.resources import Object
from tests.rules.rule import (
    BY_FIELD,
    ELSEWHERE,
    EXTERNAL,
    PLATFORM,
    PRIVATE,
    TEAM,
    ConsumerRule,
    auth_config,
    session_storage,
    virtual_server,
)


def _external(namespace: str) -> Object:
    """Write an external storage without its Secret, so that the reconciler has not dialled the store."""
    return session_storage({"external": EXTERNAL, "allowedNamespaces": [TEAM]}, namespace)


def _unconnected(storage: str) -> str:
    return (
        f'SessionStorage "{storage}" is external, and ToolHive\'s proxies are not connected (NotChecked), only backends'
        " are: see its condition ProxiesSupported"
    )


def _stored(spec: Any, annotations: Any) -> Object:
    return {
        "kind": "MCPServer",
        "metadata": {"name": "srv", "namespace": TEAM, "annotations": annotations},
        "spec": spec,
    }


_RECORD: Final = '{"by":"field","for":"all","granted":false,"made":[],"put":{},"storage":"team/mine"}'
_ENV: Final = "Kubernetes prefers `env` to `envFrom`: the program reads the user's value, not the storage's."

RULES: Final = (
    ConsumerRule(
        when="the storage does not exist (yet)",
        spec=BY_FIELD,
        storages=(),
        says='SessionStorage "team/mine" does not exist (yet): pods wait until Secret "mine-connection" exists',
        why="The order of `kubectl apply` must not matter. A misspelt name looks the same.",
    ),
    ConsumerRule(
        when="ToolHive's proxies cannot use the external storage",
        spec=BY_FIELD,
        storages=(_external(TEAM),),
        says=_unconnected("team/mine"),
        why=(
            "ToolHive's field has no user name, and TLS only since 0.49. `NotChecked`: the reconciler has not read the"
            " store's Secret yet, so it knows neither."
        ),
    ),
    ConsumerRule(
        when="the storage was not shared when the reference was made",
        spec={**ELSEWHERE, "image": "mcp:2"},
        old=_stored(ELSEWHERE, {}),
        storages=(PRIVATE,),
        may_use=False,
        says=(
            'SessionStorage "platform/mine" is not shared with this namespace: nothing is connected until somebody'
            " who may use it makes the reference anew"
        ),
        why=(
            "Somebody stored such a reference while the webhook was away. The webhook does not stop others, such as"
            " ToolHive's operator, from changing the rest of the object."
        ),
        is_seen=False,
    ),
    ConsumerRule(
        when="the API server is to generate the name",
        spec=BY_FIELD,
        metadata={"generateName": "srv-"},
        says=(
            "an object with metadata.generateName has no name yet: the webhook connects its proxies to the storage at"
            " the next change"
        ),
        why="The key prefix of its sessions contains the name, which the API server generates after admission.",
    ),
    ConsumerRule(
        when="ToolHive's CRD has lost the reference",
        spec={"image": "mcp:2"},
        old=_stored({}, {ANNOTATION_INJECTION: _RECORD}),
        says=(
            'SessionStorage "team/mine" stays connected, though the CRD lost spec.sessionStorageRef: to disconnect,'
            " set the field and remove it again"
        ),
        why=(
            "An upgrade of ToolHive removes the field from its CRD until the reconciler adds it again; that disconnects"
            " nobody."
        ),
        is_seen=False,
    ),
    ConsumerRule(
        when="the transport is stdio, which is also ToolHive's default",
        spec={**BY_FIELD, "transport": "stdio", "replicas": 3},
        says=(
            'spec.transport is stdio: ToolHive runs one proxy, and SessionStorage "team/mine" only keeps sessions over'
            " restarts: for replicas, use streamable-http or sse"
        ),
        why="Standard input and output lead to one process: ToolHive's operator caps `replicas` at 1.",
    ),
    ConsumerRule(
        when="the user's own key prefix does not end with a colon",
        spec={**BY_FIELD, "sessionStorage": {"provider": "redis", "keyPrefix": "mcp-sessions"}},
        says=(
            "spec.sessionStorage.keyPrefix does not end with ':': ToolHive's proxies refuse to start with it: add a ':'"
        ),
        why="ToolHive's CRD takes any text, and an example in its guide has no colon.",
    ),
    ConsumerRule(
        when="ToolHive gives the backend no credential",
        spec={**BY_FIELD, "untrusted": True},
        says=(
            'spec.untrusted is true: only the proxy is connected to SessionStorage "team/mine", and the backend gets no'
            " credential"
        ),
        why="ToolHive's schema refuses a pod template of an untrusted server, the webhook's as well.",
        is_seen=False,
    ),
    ConsumerRule(
        when="the auth server of a VirtualMCPServer is to keep its data in memory",
        kind="VirtualMCPServer",
        spec={**BY_FIELD, **virtual_server(storage={"type": "memory"})},
        says=(
            "spec.authServerConfig.storage.type is memory, which a restart empties: without storage, SessionStorage"
            ' "team/mine" keeps it'
        ),
        why="With a reference for its sessions, where the auth server keeps its data is still the author's choice.",
    ),
    ConsumerRule(
        when="an auth server cannot use the external storage",
        kind="MCPExternalAuthConfig",
        spec={**BY_FIELD, **auth_config()},
        storages=(_external(TEAM),),
        says=(
            'spec.embeddedAuthServer is not connected: SessionStorage "team/mine" needs a password, database 0 and'
            " ProxiesSupported (NotChecked)"
        ),
        why="ToolHive's field asks for a password, and knows no database of a single server.",
    ),
    ConsumerRule(
        when="several replicas, and affinity by client, which is also ToolHive's default",
        spec={**BY_FIELD, "replicas": 2, "sessionAffinity": "ClientIP"},
        says=(
            "spec.sessionAffinity is ClientIP: each client sticks to one of 2 replicas, though all find its sessions in"
            ' SessionStorage "team/mine": set it to None'
        ),
        why=(
            "All clients behind one address reach the same proxy, and new replicas stay idle. Without a shared storage"
            " affinity is right, and the webhook does not warn of it."
        ),
    ),
    ConsumerRule(
        when="replicas left to an autoscaler (none are set), and affinity by client, both by ToolHive's default",
        spec={**BY_FIELD, "sessionAffinity": "ClientIP"},
        says=(
            "spec.sessionAffinity is ClientIP: each client sticks to one of however many replicas, though all find its"
            ' sessions in SessionStorage "team/mine": set it to None'
        ),
        why=(
            "Without `replicas`, ToolHive leaves their number to whoever scales the Deployment. What an autoscaler adds"
            " for the load would get none of it from the clients that are there. With one proxy, None changes nothing."
        ),
    ),
    ConsumerRule(
        when="an external storage without TLS is in another namespace",
        spec=ELSEWHERE,
        storages=(_external(PLATFORM),),
        besides=(_unconnected("platform/mine"),),
        says=(
            'SessionStorage "platform/mine" has no TLS: what this namespace sends crosses the network in plain text,'
            " the password included: ask its owner for rediss://"
        ),
        why=(
            "A user of another namespace's store may not know which networks lie between. A managed storage is in the"
            " cluster, behind a NetworkPolicy."
        ),
    ),
    ConsumerRule(
        when="`env` hides an injected variable",
        spec={**BY_FIELD, "env": [{"name": "REDIS_URL", "value": "redis://other"}]},
        says=('spec.env[REDIS_URL] hides REDIS_URL of SessionStorage "team/mine": rename it, unless this is meant'),
        why=_ENV,
    ),
    ConsumerRule(
        when="`secrets` hides an injected variable",
        spec={**BY_FIELD, "secrets": [{"name": "own", "key": "password", "targetEnvName": "REDIS_PASSWORD"}]},
        says=('spec.secrets[own] hides REDIS_PASSWORD of SessionStorage "team/mine": rename it, unless this is meant'),
        why=f"{_ENV} Without `targetEnvName` the variable has the name of the key.",
    ),
    ConsumerRule(
        when="the pod template hides an injected variable",
        spec={
            **BY_FIELD,
            "podTemplateSpec": {
                "spec": {"containers": [{"name": "mcp", "env": [{"name": "SESSION_STORAGE_TYPE", "value": "memory"}]}]}
            },
        },
        says=(
            "spec.podTemplateSpec.spec.containers[mcp].env[SESSION_STORAGE_TYPE] hides SESSION_STORAGE_TYPE of"
            ' SessionStorage "team/mine": rename it, unless this is meant'
        ),
        why=_ENV,
    ),
    ConsumerRule(
        when="the proxy's `env` hides an injected variable",
        spec={
            **BY_FIELD,
            "resourceOverrides": {"proxyDeployment": {"env": [{"name": "REDIS_URL", "value": "redis://other"}]}},
        },
        says=(
            'spec.resourceOverrides.proxyDeployment.env[REDIS_URL] hides REDIS_URL of SessionStorage "team/mine":'
            " rename"
            " it, unless this is meant"
        ),
        why=_ENV,
    ),
)
