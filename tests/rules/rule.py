"""A rule of admission, told by an example: what is written, what is said about it, and why.

The examples are tested where rules are decided, and on a real API server; `docs/reference/rules.md` is made of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from shared.consumers.identity import Consumer, Usage
from shared.consumers.targets import Target
from shared.objects.resources import Object
from webhook.admission import consumers, deletions, session_storages
from webhook.admission.review import AdmissionRequest, Decision, Deny

TEAM: Final = "team"
"""Where the examples are."""
PLATFORM: Final = "platform"
"""Where storages are that consumers of `TEAM` refer to."""
ANN: Final = "ann"
"""Who may write everything in `TEAM`, and use no storage of `PLATFORM`."""


def session_storage(spec: Any, namespace: str = TEAM, name: str = "mine", **more: Any) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1alpha1",
        "kind": "SessionStorage",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        **more,
    }


BY_FIELD: Final = {"sessionStorageRef": "mine"}
ELSEWHERE: Final = {"sessionStorageRef": {"name": "mine", "namespace": PLATFORM}}
PRIVATE: Final = session_storage({"size": "small"}, PLATFORM)
EXTERNAL: Final = {"url": "redis://redis.example.com:6379", "secretRef": "redis-auth"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        when: What has to be the case.
        says: The whole message, as it is about the example.
        why: The reason for the rule, for a person who meets it.
        besides: What is said about the example before that, by other rules.
        is_seen: Whether the example can be had from a real API server; some take a fault, or chance.
    """

    when: str
    says: str
    why: str
    besides: tuple[str, ...] = ()
    is_seen: bool = True

    @property
    def decision(self) -> Decision:
        """What the webhook decides about the example."""
        raise NotImplementedError

    @property
    def said(self) -> tuple[str, ...]:
        """All that the webhook says about the example."""
        decision = self.decision
        return decision.problems if isinstance(decision, Deny) else decision.warnings

    @property
    def expected(self) -> tuple[str, ...]:
        """All that it should say."""
        return (*self.besides, self.says)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRule(Rule):
    """A rule about SessionStorages.

    Attributes:
        spec: Of the example.
        old: The spec that is stored, if it is an update; and with it
        running: the size that runs.
        metadata: Of the example, but for its namespace.
        alone: What the API server says by its schema while the webhook is down; empty if it takes the example then.
    """

    spec: Any
    old: Any = None
    running: str = ""
    metadata: Any = field(default_factory=lambda: {"name": "mine"})
    alone: str = ""

    def written(self, namespace: str = TEAM) -> Object:
        return {**session_storage(self.spec), "metadata": {**self.metadata, "namespace": namespace}}

    def stored(self, namespace: str = TEAM) -> Object | None:
        if self.old is None:
            return None
        return session_storage(self.old, namespace) | ({"status": {"size": self.running}} if self.running else {})

    @property
    def decision(self) -> Decision:
        old = self.stored()
        return session_storages.decide(
            AdmissionRequest("1", "UPDATE" if old else "CREATE", TEAM, "", self.written(), old)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerRule(Rule):
    """A rule about consumers of a storage, and how they refer to it.

    Attributes:
        spec: Of the example, but for what ToolHive demands.
        annotations: Of the example.
        metadata: More of the example's metadata.
        kind: Of the example.
        old: What is stored, if it is an update.
        storages: The storages that there are.
        may_use: Whether its author may use storages of `PLATFORM`; None if that cannot be found out.
    """

    spec: Any
    annotations: Any = None
    metadata: Any = field(default_factory=lambda: {"name": "srv"})
    kind: str = "MCPServer"
    old: Object | None = None
    storages: tuple[Object, ...] = (session_storage({"size": "small"}),)
    may_use: bool | None = True

    @property
    def written(self) -> Object:
        annotations = {"annotations": self.annotations} if self.annotations else {}
        return {
            "apiVersion": "toolhive.stacklok.dev/v1beta1",
            "kind": self.kind,
            "metadata": {**self.metadata, "namespace": TEAM, **annotations},
            "spec": {"image": "mcp:latest", "transport": "streamable-http", **self.spec},
        }

    @property
    def decision(self) -> Decision:
        operation = "UPDATE" if self.old else "CREATE"
        request = AdmissionRequest("1", operation, TEAM, "", self.written, self.old, {"username": ANN})
        write = consumers.ConsumerWrite.of(request)
        known = {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in self.storages}
        is_asked = consumers.required_access(write, known) is not None
        return consumers.decide(write, known, Target.ALL, may_use=self.may_use if is_asked else False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionRule(Rule):
    """A rule about storages that go.

    Attributes:
        servers: How many servers use the storage.
    """

    servers: int

    @property
    def decision(self) -> Decision:
        usages = tuple(
            Usage(Consumer("MCPServer", TEAM, f"srv-{number}"), (TEAM, "mine")) for number in range(self.servers)
        )
        request = AdmissionRequest("1", "DELETE", TEAM, "", None, session_storage({"size": "small"}))
        return deletions.decide(request, lambda _: usages, {})
