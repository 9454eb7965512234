"""Consumers of every kind, made up by hypothesis, and changes that a user may make to them next.

All of them are valid by ToolHive's schemas, so that a real API server takes them. `podTemplateSpec` has no schema, so
that it also holds what people write only by mistake.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hypothesis import strategies as st

from shared.consumers.auth_server import SERVERS
from shared.consumers.kinds import connection_secret_of
from shared.consumers.reference import StorageReference
from shared.consumers.targets import Target
from shared.names import ANNOTATION_INJECTION, ANNOTATION_REVISION, ANNOTATION_STORAGE, ANNOTATION_TARGETS
from shared.objects.field_path import read

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object

AUTH_SERVER: Object = {
    "issuer": "https://tools.example.com",
    "upstreamProviders": [
        {"name": "idp", "type": "oidc", "oidcConfig": {"issuerUrl": "https://idp.example.com", "clientId": "c"}}
    ],
}
LEAST: dict[str, Object] = {
    "MCPServer": {"image": "mcp:latest"},
    "MCPRemoteProxy": {"remoteUrl": "https://there.example/mcp"},
    "VirtualMCPServer": {"groupRef": {"name": "group"}, "incomingAuth": {"type": "anonymous"}},
    "MCPExternalAuthConfig": {"type": "embeddedAuthServer", "embeddedAuthServer": AUTH_SERVER},
}
"""The fields that ToolHive's schemas require of each kind."""
SHARED = StorageReference("far", "shared")
"""A storage of another namespace, which is shared with all namespaces."""


def storages(namespace: str) -> dict[Key, Object]:
    """Return every storage that exists; generated consumers also refer to `store` and `other`, which do not."""
    shared = {"metadata": {"name": SHARED.name, "namespace": SHARED.namespace}, "spec": {"allowedNamespaces": ["*"]}}
    external = {"metadata": {"name": "theirs", "namespace": namespace}, "spec": {"external": {"url": "redis://there"}}}
    return {SHARED.key: shared, (namespace, "theirs"): external}


def optional(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    """Draw objects in which each field is absent, null or drawn from its strategy."""
    return st.fixed_dictionaries({}, optional={key: st.none() | value for key, value in members.items()})


words = st.text(alphabet="ab~/.é\u2028-", min_size=1, max_size=4)
pairs = st.dictionaries(words, words, min_size=1, max_size=2)
labels = st.dictionaries(st.sampled_from(["own", "own.example/a_b", "toolhive.stacklok.dev/own"]), words, max_size=2)
sources = st.sampled_from(["store-connection", "theirs-connection", "far.shared-connection", "own"])
env_from = st.lists(
    st.one_of(
        st.builds(lambda name, rest: {"secretRef": {"name": name, **rest}}, sources, optional(optional=st.booleans())),
        st.builds(lambda name, prefix: {"secretRef": {"name": name}, "prefix": prefix}, sources, words),
        st.builds(lambda name: {"configMapRef": {"name": name}}, words),
        st.none(),
    ),
    max_size=3,
)
containers = st.lists(
    st.builds(
        lambda name, rest: {"name": name, **rest},
        st.sampled_from(["mcp", "vmcp", "toolhive", "sidecar", "mcp~1"]),
        optional(envFrom=env_from, image=words, env=st.just([{"name": "REDIS_URL", "value": "mine"}])),
    )
    | st.none()
    | words,
    max_size=3,
)
template = optional(
    metadata=optional(labels=pairs, annotations=pairs), spec=optional(containers=containers, instanceSelector=pairs)
)
overrides = optional(
    proxyDeployment=optional(
        podTemplateMetadataOverrides=optional(labels=pairs, annotations=pairs),
        env=st.lists(st.builds(lambda name: {"name": name, "value": "x"}, words), max_size=1),
    )
)
targets = st.sampled_from([target.value for target in Target])
revisions = st.sampled_from(["first-1@2026-11-23T12:00:00Z", "second-2@2026-11-23T13:00:00Z", 'made "up@now'])
every_kind = st.sampled_from(sorted(LEAST))
no_record = st.none()
made_up_records = st.sampled_from(
    [
        "{}",
        "not JSON",
        "null",
        json.dumps({"asked": "2026-01-01T00:00:00Z"}),
        json.dumps(
            {
                "by": "field",
                "for": "none",
                "granted": True,
                "made": ["/spec/podTemplateSpec"],
                "put": {"/spec/podTemplateSpec/metadata/labels/a~1": "a"},
                "storage": "far/secret",
            }
        ),
    ]
)


class WrittenReference(NamedTuple):
    """A storage, and how a user refers to it: by field, by annotation or both; by neither, if both are None."""

    reference: StorageReference
    field: Any
    annotation: str | None

    def put(self, consumer: Object) -> Object:
        """Make it the only reference of a consumer, on a copy."""
        spec = {key: value for key, value in consumer["spec"].items() if key != "sessionStorageRef"}
        spec |= {} if self.field is None else {"sessionStorageRef": self.field}
        return annotated({**consumer, "spec": spec}, ANNOTATION_STORAGE, self.annotation)


def annotated(consumer: Object, key: str, value: str | None) -> Object:
    """Set an annotation on a copy, or take it out."""
    annotations = {**consumer["metadata"].get("annotations", {})}
    annotations.pop(key, None)
    annotations |= {} if value is None else {key: value}
    return {**consumer, "metadata": {**consumer["metadata"], "annotations": annotations}}


@st.composite
def written_references(draw: st.DrawFn, namespace: str) -> WrittenReference:
    """Draw a reference in one of the ways in which a user can write it."""
    near = [StorageReference(namespace, name) for name in ("store", "theirs", "other")]
    reference = draw(st.sampled_from([*near, SHARED]))
    full = {"name": reference.name, "namespace": reference.namespace}
    short = [reference.name, {"name": reference.name, "namespace": None}] if reference in near else []
    field = draw(st.sampled_from([full, *short]))
    annotation = draw(st.sampled_from([str(reference), *([reference.name] if reference in near else [])]))
    ways = draw(st.sampled_from([(field, None), (None, annotation), (field, annotation)]))
    return WrittenReference(reference, *ways)


@st.composite
def consumers(
    draw: st.DrawFn,
    namespace: str = "default",
    records: st.SearchStrategy[str | None] = no_record,
    kinds: st.SearchStrategy[str] = every_kind,
) -> Object:
    """Draw a consumer that refers to a storage."""
    kind = draw(kinds)
    written = draw(written_references(namespace))
    spec = {**LEAST[kind]}
    if kind != "MCPExternalAuthConfig":
        spec |= draw(optional(podTemplateSpec=template))
        if draw(st.booleans()):
            own = [{}, {"db": 0}, {"keyPrefix": "own:"}]
            spec["sessionStorage"] = equal_settings(written.reference) | draw(st.sampled_from(own))
    if kind in {"MCPServer", "MCPRemoteProxy"}:
        spec |= draw(optional(resourceOverrides=overrides))
    if kind in SERVERS and (kind == "MCPExternalAuthConfig" or draw(st.booleans())):
        spec[SERVERS[kind][-1]] = AUTH_SERVER | draw(stores(written.reference, kind, namespace))
    metadata: Object = {"name": "srv", "namespace": namespace, "annotations": draw(labels)}
    consumer = {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}
    consumer = annotated(consumer, ANNOTATION_TARGETS, draw(st.none() | targets))
    consumer = annotated(consumer, ANNOTATION_REVISION, draw(st.none() | revisions))
    return written.put(annotated(consumer, ANNOTATION_INJECTION, draw(records)))


def stores(reference: StorageReference, kind: str, namespace: str) -> st.SearchStrategy[Object]:
    """Draw what a user writes of where an auth server keeps its data, beside a reference."""
    secret = connection_secret_of(reference, namespace)
    password = {"passwordSecretRef": {"name": secret, "key": "REDIS_PASSWORD"}}
    address = f"{reference.name}-valkey.{reference.namespace}.svc:6379"
    equal, other = ({"addr": where, "aclUserConfig": password} for where in (address, "own:6379"))
    own: list[Object] = [{}, {"storage": {"type": "redis"}}]
    if reference.name != "theirs":
        own.append({"storage": {"type": "redis", "redis": equal}})
    if kind == "VirtualMCPServer":
        own += [{"storage": {"type": "memory"}}, {"storage": {"type": "redis", "redis": other}}]
    return st.sampled_from(own)


def equal_settings(reference: StorageReference) -> Object:
    """Return the settings that a user writes who knows what the webhook would write."""
    return {"provider": "redis", "address": f"{reference.name}-valkey.{reference.namespace}.svc:6379"}


own_secrets = st.just({"name": "own", "key": "p"})
session_stores = st.just({"provider": "memory"}) | st.builds(
    lambda store, rest: store | {key: value for key, value in rest.items() if value is not None},
    st.just({"provider": "redis", "address": "own:6379"}),
    optional(
        db=st.integers(0, 1),
        keyPrefix=st.sampled_from(["own:", "thv:proxy:session:{default:srv}:", "thv:vmcp:session:{default:srv}:"]),
        passwordRef=own_secrets | st.just({"name": "store-connection", "key": "REDIS_PASSWORD"}),
        tls=st.just({}),
    ),
)
"""Stores of users' own for sessions; some of their fields are as the webhook writes them."""
auth_stores = st.builds(
    lambda place, login, rest: {
        "type": "redis",
        "redis": place | {"aclUserConfig": {key: value for key, value in login.items() if value is not None}} | rest,
    },
    st.sampled_from([{"addr": "own:6379"}, {"sentinelConfig": {"masterName": "m", "sentinelAddrs": ["a:1"]}}]),
    st.fixed_dictionaries(
        {"passwordSecretRef": own_secrets | st.just({"name": "store-connection", "key": "REDIS_PASSWORD"})},
        optional={"usernameSecretRef": st.none() | own_secrets},
    ),
    st.sampled_from([{}, {"dialTimeout": "5s"}, {"dialTimeout": "9s", "tls": {}}]),
)
"""Stores of users' own for auth servers, by address or by Sentinels."""


@st.composite
def with_own_stores(draw: st.DrawFn, kind: str) -> Object:
    """Draw a consumer whose author states stores of their own, and which refers to no storage."""
    spec = {**LEAST[kind]}
    if kind != "MCPExternalAuthConfig" and draw(st.booleans()):
        spec["sessionStorage"] = draw(session_stores)
    if kind in SERVERS:
        spec[SERVERS[kind][-1]] = AUTH_SERVER | ({"storage": draw(auth_stores)} if draw(st.booleans()) else {})
    metadata: Object = {"name": "srv", "namespace": "default", "annotations": draw(labels)}
    return {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def schema_refusals(consumer: Object) -> list[str]:
    """Say what ToolHive's schemas refuse about where a consumer keeps its data (their `required`, and their CEL)."""
    problems: list[str] = []
    sessions = consumer["spec"].get("sessionStorage")
    if sessions is not None:
        provider = sessions.get("provider")
        if provider is None:
            problems.append("provider: Required value")
        if provider == "redis" and not sessions.get("address"):
            problems.append("address is required")
        if sessions.get("tls") is not None and provider != "redis":
            problems.append("tls is only supported when provider is redis")
    for server in SERVERS.values():
        redis = read(consumer, (*server, "storage", "redis"))
        if redis is None:
            continue
        if read(redis, ("aclUserConfig", "passwordSecretRef")) is None:
            problems.append("aclUserConfig.passwordSecretRef: Required value")
        if bool(redis.get("addr")) is (redis.get("sentinelConfig") is not None):
            problems.append("exactly one of addr or sentinelConfig must be set")
    return problems


NO_REFERENCE = WrittenReference(SHARED, None, None)
Change: TypeAlias = Callable[["Object"], "Object"]


def changes(namespace: str = "default") -> st.SearchStrategy[Change]:
    """Draw a change to a stored consumer: of its reference, target, revision, injection record or own settings."""
    return st.one_of(
        written_references(namespace).map(lambda written: written.put),
        st.just(NO_REFERENCE.put),
        targets.map(lambda target: lambda consumer: annotated(consumer, ANNOTATION_TARGETS, target)),
        revisions.map(lambda revision: lambda consumer: annotated(consumer, ANNOTATION_REVISION, revision)),
        made_up_records.map(lambda record: lambda consumer: annotated(consumer, ANNOTATION_INJECTION, record)),
        template.map(lambda own: lambda consumer: with_spec(consumer, podTemplateSpec=own)),
        st.just(lambda consumer: annotated(with_spec(consumer, sessionStorage=None), ANNOTATION_INJECTION, None)),
    )


def with_spec(consumer: Object, **fields: Any) -> Object:
    """Set fields of the spec on a copy."""
    return {**consumer, "spec": {**consumer["spec"], **fields}}
