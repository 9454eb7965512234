"""Every refusal of a consumer, or of its reference."""

from __future__ import annotations

from typing import Final

from shared.names import ANNOTATION_STORAGE, ANNOTATION_TARGETS
from tests.rules.rule import BY_FIELD, ELSEWHERE, PLATFORM, PRIVATE, TEAM, ConsumerRule, auth_config, session_storage

_BY_ANNOTATION: Final = f"metadata.annotations[{ANNOTATION_STORAGE}]"


_ONE_REFERENCE: Final = "A reference is a name, or a name and a namespace; anything else is a mistake."
_NO_SUCH_NAME: Final = "No storage can have that name, so the consumer would never be connected."
_SHAPE: Final = "ToolHive's schema refuses it too; the webhook names it together with all other problems."

RULES: Final = (
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
        why="A namespace may hold several storages, and none of them is the default.",
    ),
    ConsumerRule(
        when="name or namespace is not a string",
        spec={"sessionStorageRef": {"name": 5}},
        says="spec.sessionStorageRef: Invalid value: name and namespace must be strings",
        why=_ONE_REFERENCE,
    ),
    ConsumerRule(
        when="the reference has an unknown field",
        spec={"sessionStorageRef": {"name": "mine", "size": "small"}},
        says='spec.sessionStorageRef: Invalid value: unknown field "size"',
        why=_ONE_REFERENCE,
    ),
    ConsumerRule(
        when="the reference has more than five unknown fields",
        spec={"sessionStorageRef": {"name": "mine", **dict.fromkeys("abcdefg")}},
        besides=tuple(f'spec.sessionStorageRef: Invalid value: unknown field "{field}"' for field in "abcde"),
        says="spec.sessionStorageRef: Invalid value: 2 more unknown fields",
        why="An object may have a hundred thousand fields, and a message must fit on a screen.",
    ),
    ConsumerRule(
        when="the reference has a name that no storage can have",
        spec={"sessionStorageRef": "My Storage"},
        says=(
            'spec.sessionStorageRef: Invalid value: "My Storage": a SessionStorage\'s name has at most 40 lower-case'
            " letters, digits or '-', starts with a letter and ends with a letter or digit"
        ),
        why=_NO_SUCH_NAME,
    ),
    ConsumerRule(
        when="the reference has a namespace whose name is not a valid one",
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
        spec=BY_FIELD,
        annotations={ANNOTATION_STORAGE: "other"},
        says=(
            f'{_BY_ANNOTATION}: Invalid value: names SessionStorage "team/other", but spec.sessionStorageRef names'
            ' "team/mine": keep one of them'
        ),
        why="A consumer has one storage, and neither reference takes precedence. The same name twice is fine.",
    ),
    ConsumerRule(
        when="the annotation for targets has an unknown value",
        spec=BY_FIELD,
        annotations={ANNOTATION_TARGETS: "frontend"},
        says=(
            f'metadata.annotations[{ANNOTATION_TARGETS}]: Unsupported value: "frontend": supported values: "backend",'
            ' "proxy", "all", "none"'
        ),
        why="Guessing could hand a password to a part that must not have it.",
    ),
    ConsumerRule(
        when="the storage is in another namespace, and the author may not use it",
        spec=ELSEWHERE,
        storages=(PRIVATE,),
        may_use=False,
        says=(
            'spec.sessionStorageRef: Forbidden: user "ann" may not use SessionStorage "platform/mine" from namespace'
            ' "team": its owner can share it with this namespace: kubectl patch sessionstorage mine -n platform'
            ' --type=json -p \'[{"op":"add","path":"/spec/allowedNamespaces","value":["team"]}]\'; or give this user'
            " the right: kubectl create role use-mine -n platform --verb=use"
            " --resource=sessionstorages.toolhive.stacklok.dev --resource-name=mine;"
            " kubectl create rolebinding use-mine -n platform --role=use-mine --user=ann"
        ),
        why="Nobody gets a password by naming somebody else's storage.",
    ),
    ConsumerRule(
        when="the storage is in another namespace, and a service account applies the reference",
        spec=ELSEWHERE,
        storages=(session_storage({"size": "small", "allowedNamespaces": ["shop"]}, PLATFORM),),
        may_use=False,
        author="system:serviceaccount:argocd:argocd-application-controller",
        says=(
            'spec.sessionStorageRef: Forbidden: service account "system:serviceaccount:argocd:'
            'argocd-application-controller" may not use SessionStorage "platform/mine" from namespace "team": its owner'
            " can share it with this namespace: kubectl patch sessionstorage mine -n platform --type=json -p"
            ' \'[{"op":"add","path":"/spec/allowedNamespaces/-","value":"team"}]\'; or name this account in the'
            " chart's value trustedServiceAccounts, and give it the right: kubectl create role use-mine -n platform"
            " --verb=use --resource=sessionstorages.toolhive.stacklok.dev --resource-name=mine; kubectl create"
            " rolebinding use-mine -n platform --role=use-mine"
            " --user=system:serviceaccount:argocd:argocd-application-controller"
        ),
        why=(
            "Argo CD and Flux apply what others wrote, and may use everything themselves. Their right says nothing"
            " about the author's."
        ),
        is_seen=False,
    ),
    ConsumerRule(
        when="the API server does not answer whether the author may use the storage",
        spec=ELSEWHERE,
        storages=(PRIVATE,),
        may_use=None,
        says=(
            "spec.sessionStorageRef: Forbidden: the API server did not say in time whether you may use SessionStorage"
            ' "platform/mine": try again'
        ),
        why="In doubt, the webhook hands out no password. A SubjectAccessReview got no answer in time.",
        is_seen=False,
    ),
    ConsumerRule(
        when="`spec.sessionStorage` contradicts the storage",
        spec={**BY_FIELD, "sessionStorage": {"provider": "memory"}},
        says=(
            'spec.sessionStorage.provider: Invalid value: SessionStorage "team/mine" needs "redis" here: leave the'
            " field out"
        ),
        why=(
            "One of the two is a mistake, and only the author knows which. The message does not repeat the user's"
            " value, because people put passwords into addresses."
        ),
    ),
    ConsumerRule(
        when="`spec.sessionStorage` has a field that the storage does not need",
        spec={**BY_FIELD, "sessionStorage": {"tls": {}}},
        says=(
            'spec.sessionStorage.tls: Invalid value: SessionStorage "team/mine" needs nothing here: leave the field out'
        ),
        why="A managed storage does not speak TLS, so the proxy could not connect.",
        is_seen=False,
    ),
    ConsumerRule(
        when="a field on the way to an injected one is not an object",
        spec={**BY_FIELD, "podTemplateSpec": "mcp"},
        says="spec.podTemplateSpec: Invalid value: must be an object",
        why=_SHAPE,
    ),
    ConsumerRule(
        when="a field on the way to an injected one is not a list",
        spec={**BY_FIELD, "podTemplateSpec": {"spec": {"containers": {"name": "mcp"}}}},
        says="spec.podTemplateSpec.spec.containers: Invalid value: must be an array",
        why=_SHAPE,
    ),
    ConsumerRule(
        when="`spec.sessionStorage` says where the user's own store is",
        spec={**BY_FIELD, "sessionStorage": {"provider": "redis", "address": "their-redis:6379"}},
        says=(
            'spec.sessionStorage.address: Invalid value: SessionStorage "team/mine" needs "mine-valkey.team.svc:6379"'
            " here: leave the field out; how to keep the sessions of your own store: docs/howto/move-in.md"
        ),
        why="Another store has none of the sessions. A storage that is external on the same store keeps them.",
    ),
    ConsumerRule(
        when="`spec.sessionStorage.keyPrefix` is that of another consumer",
        spec={**BY_FIELD, "sessionStorage": {"provider": "redis", "keyPrefix": "thv:proxy:session:{team:other}:"}},
        says=(
            "spec.sessionStorage.keyPrefix: Invalid value: another consumer's sessions begin like this: write a prefix"
            " of your own, or leave the field out"
        ),
        why="Who writes another server's sessions redirects its clients. Any other prefix of the user's own stands.",
    ),
    ConsumerRule(
        when="the data of an auth server with a reference is to stay in memory",
        kind="MCPExternalAuthConfig",
        spec={**BY_FIELD, **auth_config(storage={"type": "memory"})},
        says=(
            'spec.embeddedAuthServer.storage.type: Invalid value: SessionStorage "team/mine" needs "redis" here: write'
            " it, because ToolHive's default is memory"
        ),
        why="The reference is there for the auth server alone. ToolHive's schema fills in `memory`.",
    ),
    ConsumerRule(
        when="an MCPExternalAuthConfig that refers to a storage describes no auth server",
        kind="MCPExternalAuthConfig",
        spec={**BY_FIELD, "type": "unauthenticated"},
        says=(
            "spec.embeddedAuthServer: Required value: only an embedded auth server keeps data in a SessionStorage:"
            " leave the reference out"
        ),
        why="Other ways to authenticate keep nothing.",
    ),
    ConsumerRule(
        when="the annotation asks for the backend of an untrusted server",
        spec={**BY_FIELD, "untrusted": True},
        annotations={ANNOTATION_TARGETS: "all"},
        says=(
            'metadata.annotations[toolhive.stacklok.dev/session-storage-targets]: Invalid value: "all": ToolHive'
            ' keeps every credential from an untrusted backend: write "proxy", or leave the annotation out'
        ),
        why="ToolHive's mode for servers that must never possess a credential refuses a pod template of theirs.",
        is_seen=False,
    ),
    ConsumerRule(
        when="objects of this kind keep nothing in a storage",
        kind="MCPGroup",
        spec=BY_FIELD,
        says=(
            'kind: Unsupported value: supported values: "MCPServer", "MCPRemoteProxy", "VirtualMCPServer",'
            ' "MCPExternalAuthConfig"'
        ),
        why="No part of it could use a storage. The webhook gets it only if somebody changed its configuration.",
        is_seen=False,
    ),
)
