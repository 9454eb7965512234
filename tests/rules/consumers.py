"""Every rule about consumers of a storage, and how they refer to it."""

from __future__ import annotations

from typing import Any, Final

from shared.names import ANNOTATION_STORAGE, ANNOTATION_TARGETS, ANNOTATION_WIRED
from shared.resources import Object
from shared.store import PROXIES_SUPPORTED
from tests.rules.rule import PLATFORM, TEAM, ConsumerRule, session_storage

_BY_FIELD: Final = {"sessionStorageRef": "mine"}
_ELSEWHERE: Final = {"sessionStorageRef": {"name": "mine", "namespace": PLATFORM}}
_BY_ANNOTATION: Final = f"metadata.annotations[{ANNOTATION_STORAGE}]"
_PRIVATE: Final = session_storage({"size": "small"}, PLATFORM)
_EXTERNAL: Final = {"url": "redis://redis.example.com:6379", "secretRef": "redis-auth"}


def _external(support: str, namespace: str = TEAM, **spec: Any) -> Any:
    """A storage that the reconciler has dialled."""
    condition = {"type": PROXIES_SUPPORTED, "reason": support}
    return session_storage({"external": _EXTERNAL, **spec}, namespace, status={"conditions": [condition]})


def _stored(spec: Any, annotations: Any) -> Object:
    return {
        "kind": "MCPServer",
        "metadata": {"name": "srv", "namespace": TEAM, "annotations": annotations},
        "spec": spec,
    }


_RECORD: Final = '{"by":"field","for":"all","granted":false,"made":[],"put":{},"storage":"team/mine"}'
_ONE_REFERENCE: Final = "A reference is a name, or name and namespace; what else is there is a slip."
_NO_SUCH_NAME: Final = "No storage can have that name, so nothing would ever be connected."
_SHAPE: Final = "ToolHive would refuse it too; here it is said together with everything else that is wrong."
_ENV: Final = "Kubernetes prefers `env` to `envFrom`: the program reads the user's value, not the storage's."

REFUSALS: Final = (
    ConsumerRule(
        when="the reference is neither a name nor an object",
        spec={"sessionStorageRef": 5},
        says="spec.sessionStorageRef: Invalid value: must be a name, or an object with name and namespace",
        why=_ONE_REFERENCE,
    ),
    ConsumerRule(
        when="the reference has no name",
        spec={"sessionStorageRef": {"namespace": TEAM}},
        says="spec.sessionStorageRef.name: Required value",
        why="A namespace has no storage of its own that could be meant.",
    ),
    ConsumerRule(
        when="its parts are no strings",
        spec={"sessionStorageRef": {"name": 5}},
        says="spec.sessionStorageRef: Invalid value: name and namespace must be strings",
        why=_ONE_REFERENCE,
    ),
    ConsumerRule(
        when="it has an unknown field",
        spec={"sessionStorageRef": {"name": "mine", "size": "small"}},
        says='spec.sessionStorageRef: Invalid value: unknown field "size"',
        why=_ONE_REFERENCE,
    ),
    ConsumerRule(
        when="it has more than five of them",
        spec={"sessionStorageRef": {"name": "mine", **dict.fromkeys("abcdefg")}},
        besides=tuple(f'spec.sessionStorageRef: Invalid value: unknown field "{field}"' for field in "abcde"),
        says="spec.sessionStorageRef: Invalid value: 2 more unknown fields",
        why="An object may have a hundred thousand, and a message has to fit on a screen.",
    ),
    ConsumerRule(
        when="it names what no storage can be called",
        spec={"sessionStorageRef": "My Storage"},
        says=(
            'spec.sessionStorageRef: Invalid value: "My Storage": a SessionStorage\'s name has at most 40 lower-case'
            " letters, digits or '-', starts with a letter and ends with a letter or digit"
        ),
        why=_NO_SUCH_NAME,
    ),
    ConsumerRule(
        when="it names what no namespace can be called",
        spec={"sessionStorageRef": {"name": "mine", "namespace": "My Team"}},
        says='spec.sessionStorageRef: Invalid value: "My Team": not the name of a namespace',
        why=_NO_SUCH_NAME,
    ),
    ConsumerRule(
        when="the annotation has another form",
        spec={},
        annotations={ANNOTATION_STORAGE: "a/b/c"},
        says=f"{_BY_ANNOTATION}: Invalid value: must be [namespace/]name",
        why=_ONE_REFERENCE,
    ),
    ConsumerRule(
        when="field and annotation name two storages",
        spec=_BY_FIELD,
        annotations={ANNOTATION_STORAGE: "other"},
        says=(
            f'{_BY_ANNOTATION}: Invalid value: names SessionStorage "team/other", but spec.sessionStorageRef names'
            ' "team/mine": keep one of them'
        ),
        why="A consumer has one storage, and neither way to name it is the better one. The same name twice is fine.",
    ),
    ConsumerRule(
        when="the targets are none of ours",
        spec=_BY_FIELD,
        annotations={ANNOTATION_TARGETS: "frontend"},
        says=(
            f'metadata.annotations[{ANNOTATION_TARGETS}]: Unsupported value: "frontend": supported values: "backend",'
            ' "proxy", "all", "none"'
        ),
        why="Guessing could hand a password to a part that must not have it.",
    ),
    ConsumerRule(
        when="the storage is another namespace's, and its author lacks the right",
        spec=_ELSEWHERE,
        storages=(_PRIVATE,),
        may_use=False,
        says=(
            'spec.sessionStorageRef: Forbidden: user "ann" may not use SessionStorage "platform/mine" from namespace'
            ' "team": it takes the verb "use" on sessionstorages.toolhive.stacklok.dev "mine" in namespace "platform"'
            " (bind the ClusterRole of this product whose name ends in -use), or this namespace in"
            " spec.allowedNamespaces of the storage"
        ),
        why="Nobody gets a password by naming somebody else's storage.",
    ),
    ConsumerRule(
        when="whether its author has the right cannot be found out",
        spec=_ELSEWHERE,
        storages=(_PRIVATE,),
        may_use=None,
        says=(
            'spec.sessionStorageRef: Forbidden: whether you may use SessionStorage "platform/mine" cannot be found out'
            " at the moment: try again"
        ),
        why="In doubt a password is not handed out. The API server did not answer a SubjectAccessReview in time.",
        is_seen=False,
    ),
    ConsumerRule(
        when="`spec.sessionStorage` says something else",
        spec={**_BY_FIELD, "sessionStorage": {"provider": "memory"}},
        says=(
            'spec.sessionStorage.provider: Invalid value: SessionStorage "team/mine" needs "redis" here: leave the'
            " field out"
        ),
        why=(
            "One of the two is not meant, and only the author knows which. The user's value is not repeated, for"
            " people put passwords into addresses."
        ),
    ),
    ConsumerRule(
        when="`spec.sessionStorage` has what the storage knows nothing of",
        spec={**_BY_FIELD, "sessionStorage": {"tls": {}}},
        says=(
            'spec.sessionStorage.tls: Invalid value: SessionStorage "team/mine" needs nothing here: leave the field out'
        ),
        why="A managed storage speaks no TLS, and the proxy would not get through.",
        is_seen=False,
    ),
    ConsumerRule(
        when="something on the way is no object",
        spec={**_BY_FIELD, "podTemplateSpec": "mcp"},
        says="spec.podTemplateSpec: Invalid value: must be an object",
        why=_SHAPE,
    ),
    ConsumerRule(
        when="something on the way is no list",
        spec={**_BY_FIELD, "podTemplateSpec": {"spec": {"containers": {"name": "mcp"}}}},
        says="spec.podTemplateSpec.spec.containers: Invalid value: must be an array",
        why=_SHAPE,
    ),
    ConsumerRule(
        when="the kind keeps no sessions",
        kind="MCPGroup",
        spec=_BY_FIELD,
        says='kind: Unsupported value: supported values: "MCPServer", "MCPRemoteProxy", "VirtualMCPServer"',
        why=(
            "It has no part that could use a storage. Only a webhook configuration that somebody changed asks about it."
        ),
        is_seen=False,
    ),
)

WARNINGS: Final = (
    ConsumerRule(
        when="the storage does not exist (yet)",
        spec=_BY_FIELD,
        storages=(),
        says='SessionStorage "team/mine" does not exist (yet): pods wait until Secret "mine-connection" exists',
        why="The order of `kubectl apply` must not matter. A name that is misspelt looks the same.",
    ),
    ConsumerRule(
        when="ToolHive's proxies cannot use the external storage",
        spec=_BY_FIELD,
        storages=(_external("UserNameNotSupported"),),
        says=(
            'SessionStorage "team/mine" is external, and ToolHive\'s proxies are not connected to it'
            " (UserNameNotSupported): see its condition ProxiesSupported; backend pods get its connection"
        ),
        why=(
            "ToolHive's field knows no user names, and TLS only since 0.49; until the store has been dialled"
            " (`NotChecked`), that is not known."
        ),
        is_seen=False,
    ),
    ConsumerRule(
        when="the storage was not shared when the reference was made",
        spec={**_ELSEWHERE, "image": "mcp:2"},
        old=_stored(_ELSEWHERE, {}),
        storages=(_PRIVATE,),
        may_use=False,
        says=(
            'SessionStorage "platform/mine" is not shared with this namespace, and whoever made the reference had no'
            " right to use it: nothing is connected"
        ),
        why=(
            "Such a reference was stored while the webhook was away. Who changes something else now, as ToolHive's"
            " operator does, is not held up for it."
        ),
        is_seen=False,
    ),
    ConsumerRule(
        when="the name is to be generated",
        spec=_BY_FIELD,
        metadata={"generateName": "srv-"},
        says=(
            "an object with metadata.generateName has no name yet: its proxies are connected to the storage when it is"
            " next changed"
        ),
        why="The prefix of its sessions' keys holds the name, and that is made up after admission.",
    ),
    ConsumerRule(
        when="ToolHive's CRD has lost the reference",
        spec={"image": "mcp:2"},
        old=_stored({}, {ANNOTATION_WIRED: _RECORD}),
        says=(
            'SessionStorage "team/mine" stays connected, though spec.sessionStorageRef was lost with its CRD field: to'
            " disconnect, set the field and take it out again"
        ),
        why=(
            "An upgrade of ToolHive takes the field out of its CRD until the reconciler has put it back; nobody is"
            " disconnected by that."
        ),
        is_seen=False,
    ),
    ConsumerRule(
        when="the transport is stdio, which is also ToolHive's default",
        spec={**_BY_FIELD, "transport": "stdio", "replicas": 3},
        says=(
            'spec.transport is stdio: ToolHive runs one proxy, and SessionStorage "team/mine" only brings sessions over'
            " its restarts: to have replicas, use streamable-http or sse"
        ),
        why="Standard input and output lead to one process: ToolHive's operator caps `replicas` at 1.",
    ),
    ConsumerRule(
        when="several replicas, and affinity by client, which is also ToolHive's default",
        spec={**_BY_FIELD, "replicas": 2, "sessionAffinity": "ClientIP"},
        says=(
            "spec.sessionAffinity is ClientIP: each client sticks to one of 2 replicas, though all find its sessions in"
            ' SessionStorage "team/mine": set it to None'
        ),
        why=(
            "Clients behind one address all meet the same proxy, and new replicas stay idle. Without a shared storage"
            " affinity is right, so nothing is said then."
        ),
    ),
    ConsumerRule(
        when="an external storage without TLS is another namespace's",
        spec=_ELSEWHERE,
        storages=(_external("PlainTcp", PLATFORM, allowedNamespaces=[TEAM]),),
        says=(
            'SessionStorage "platform/mine" has no TLS: what this namespace sends crosses the network in plain text,'
            " the password included: ask its owner for rediss://"
        ),
        why=(
            "Who shares a store need not know whose network lies between. A managed storage is in the cluster, behind"
            " a NetworkPolicy."
        ),
        is_seen=False,
    ),
    ConsumerRule(
        when="`env` hides an injected variable",
        spec={**_BY_FIELD, "env": [{"name": "REDIS_URL", "value": "redis://other"}]},
        says=(
            'spec.env[REDIS_URL] hides REDIS_URL of SessionStorage "team/mine": rename it, unless that is what you want'
        ),
        why=_ENV,
    ),
    ConsumerRule(
        when="`secrets` hides an injected variable",
        spec={**_BY_FIELD, "secrets": [{"name": "own", "key": "password", "targetEnvName": "REDIS_PASSWORD"}]},
        says=(
            'spec.secrets[own] hides REDIS_PASSWORD of SessionStorage "team/mine": rename it, unless that is what you'
            " want"
        ),
        why=f"{_ENV} Without `targetEnvName` the variable is called after the key.",
    ),
    ConsumerRule(
        when="the pod template hides an injected variable",
        spec={
            **_BY_FIELD,
            "podTemplateSpec": {
                "spec": {"containers": [{"name": "mcp", "env": [{"name": "SESSION_STORAGE_TYPE", "value": "memory"}]}]}
            },
        },
        says=(
            "spec.podTemplateSpec.spec.containers[mcp].env[SESSION_STORAGE_TYPE] hides SESSION_STORAGE_TYPE of"
            ' SessionStorage "team/mine": rename it, unless that is what you want'
        ),
        why=_ENV,
    ),
    ConsumerRule(
        when="the proxy's `env` hides an injected variable",
        spec={
            **_BY_FIELD,
            "resourceOverrides": {"proxyDeployment": {"env": [{"name": "REDIS_URL", "value": "redis://other"}]}},
        },
        says=(
            'spec.resourceOverrides.proxyDeployment.env[REDIS_URL] hides REDIS_URL of SessionStorage "team/mine":'
            " rename"
            " it, unless that is what you want"
        ),
        why=_ENV,
    ),
)
