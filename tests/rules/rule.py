"""A rule of admission with an example: what somebody writes, what the webhook says, and why.

Unit tests check the examples against the webhook's decisions, integration tests against a real API server;
`docs/reference/rules.md` is generated from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from shared.consumers.identity import Consumer, Usage
from shared.consumers.targets import Target
from shared.objects.resources import Object
from shared.session_storage.allowed_hosts import AllowedHosts
from webhook.admission import consumers, deletions, session_storages
from webhook.admission.review import AdmissionRequest, Decision, Deny

TEAM: Final = "team"
"""The namespace of the examples."""
PLATFORM: Final = "platform"
"""Another namespace, with storages to which consumers of `TEAM` refer."""
ANN: Final = "ann"
"""A user who may write everything in `TEAM`, but may not use the storages of `PLATFORM`."""


def session_storage(spec: Any, namespace: str = TEAM, name: str = "mine", **more: Any) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1alpha1",
        "kind": "SessionStorage",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        **more,
    }


_AUTH_SERVER: Final = {
    "issuer": "https://tools.example.com",
    "upstreamProviders": [
        {"name": "idp", "type": "oidc", "oidcConfig": {"issuerUrl": "https://idp.example.com", "clientId": "c"}}
    ],
}


def auth_config(**server: Any) -> Object:
    """Write the spec of an MCPExternalAuthConfig with an embedded auth server."""
    return {"type": "embeddedAuthServer", "embeddedAuthServer": {**_AUTH_SERVER, **server}}


def virtual_server(**server: Any) -> Object:
    """Write the spec of a VirtualMCPServer with an embedded auth server."""
    incoming = {"type": "anonymous"}
    return {"groupRef": {"name": "g"}, "incomingAuth": incoming, "authServerConfig": {**_AUTH_SERVER, **server}}


BY_FIELD: Final = {"sessionStorageRef": "mine"}
ELSEWHERE: Final = {"sessionStorageRef": {"name": "mine", "namespace": PLATFORM}}
PRIVATE: Final = session_storage({"size": "small"}, PLATFORM)
EXTERNAL: Final = {"url": "redis://redis.example.com:6379", "secretRef": "redis-auth"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        when: The condition under which the rule applies.
        says: The whole message about the example.
        why: The reason for the rule, for a person who meets it.
        besides: What other rules say about the example before that.
        is_seen: Whether a test can reproduce the example on a real API server; some examples need a fault, or chance.
    """

    when: str
    says: str
    why: str
    besides: tuple[str, ...] = ()
    is_seen: bool = True

    @property
    def decision(self) -> Decision:
        """The webhook's decision about the example."""
        raise NotImplementedError

    @property
    def said(self) -> tuple[str, ...]:
        """All messages of the webhook about the example."""
        decision = self.decision
        return decision.problems if isinstance(decision, Deny) else decision.warnings

    @property
    def expected(self) -> tuple[str, ...]:
        """All messages that it should give."""
        return (*self.besides, self.says)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRule(Rule):
    """A rule about SessionStorages.

    Attributes:
        spec: Spec of the example.
        old: The stored spec, if the example is an update.
        running: The size that runs.
        metadata: Metadata of the example, without its namespace.
        alone: The API server's own message while the webhook is down; empty if the schema admits the example. The
            reconciler reports it then, if it is a refusal.
        allowed: Entries of the chart value `external.allowedHosts`.
        may_read: Whether its author may read the Secret that it names; None if the API server does not answer.
    """

    spec: Any
    old: Any = None
    running: str = ""
    metadata: Any = field(default_factory=lambda: {"name": "mine"})
    alone: str = ""
    allowed: tuple[str, ...] = ()
    may_read: bool | None = True

    def written(self, namespace: str = TEAM) -> Object:
        return {**session_storage(self.spec), "metadata": {**self.metadata, "namespace": namespace}}

    def stored(self, namespace: str = TEAM) -> Object | None:
        if self.old is None:
            return None
        return session_storage(self.old, namespace) | ({"status": {"size": self.running}} if self.running else {})

    @property
    def decision(self) -> Decision:
        old = self.stored()
        request = AdmissionRequest("1", "UPDATE" if old else "CREATE", TEAM, "", self.written(), old, {"username": ANN})
        return session_storages.decide(request, AllowedHosts.of(self.allowed), may_read=self.may_read)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerRule(Rule):
    """A rule about consumers of a storage, and how they refer to it.

    Attributes:
        spec: Spec of the example, without the fields that ToolHive requires, and those whose defaults the webhook warns
            of.
        annotations: Annotations of the example.
        metadata: Further metadata of the example.
        kind: Kind of the example.
        old: The stored object, if the example is an update.
        storages: The storages that exist.
        may_use: Whether its author may use storages of `PLATFORM`; None if the API server does not answer.
        author: User name of its author.
    """

    spec: Any
    annotations: Any = None
    metadata: Any = field(default_factory=lambda: {"name": "srv"})
    kind: str = "MCPServer"
    old: Object | None = None
    storages: tuple[Object, ...] = (session_storage({"size": "small"}),)
    may_use: bool | None = True
    author: str = ANN

    @property
    def written(self) -> Object:
        annotations = {"annotations": self.annotations} if self.annotations else {}
        return {
            "apiVersion": "toolhive.stacklok.dev/v1beta1",
            "kind": self.kind,
            "metadata": {**self.metadata, "namespace": TEAM, **annotations},
            "spec": {"image": "mcp:latest", "transport": "streamable-http", "sessionAffinity": "None", **self.spec},
        }

    @property
    def decision(self) -> Decision:
        operation = "UPDATE" if self.old else "CREATE"
        request = AdmissionRequest("1", operation, TEAM, "", self.written, self.old, {"username": self.author})
        write = consumers.ConsumerWrite.of(request)
        known = {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in self.storages}
        is_asked = consumers.required_access(write, known) is not None
        return consumers.decide(write, known, Target.ALL, may_use=self.may_use if is_asked else False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionRule(Rule):
    """A rule about the deletion of storages.

    Attributes:
        servers: How many servers use the storage.
    """

    servers: int

    @property
    def decision(self) -> Decision:
        usages = tuple(
            Usage(Consumer("MCPServer", TEAM, f"srv-{number}"), (TEAM, "mine")) for number in range(self.servers)
        )
        storage = session_storage({"size": "small"})
        storage["metadata"]["uid"] = "8c1f"
        request = AdmissionRequest("1", "DELETE", TEAM, "", None, storage)
        return deletions.decide(request, {(TEAM, "mine"): storage}, lambda _: usages, {})
