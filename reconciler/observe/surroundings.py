"""What the process knows beyond the objects of one storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.observe.instance_probe import ask_anew
from shared.session_storage.sizes import DEFAULT_SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from reconciler.observe.instance_probe import Ask
    from reconciler.observe.last_seen import LastSeen
    from reconciler.state.kubernetes_nodes import KubernetesNodes
    from reconciler.state.obstacle import Obstacle
    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.valkey.external_store import Dial
    from shared.objects.resources import Key, Object


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the process knows beyond the objects of one storage.

    Attributes:
        read_secret: Reads a Secret that an external storage names.
        serves_tls: Tells whether ToolHive's CRDs have `sessionStorage.tls`.
        knows_consumers: Tells whether the caches hold all consumers.
        has_auth_data: Tells whether some auth server in these namespaces keeps its data in a storage; None if it is not
            known.
        is_rotation_due: Tells whether a storage's schedule asks for a rotation, and no other storage goes first.
        silent_for: Tells for how many seconds the server in a pod has not answered anything.
        outlives_at: Tells where the server of a storage's instance goes on although its pod is gone; empty if nowhere.
        may_update: Tells whether a storage has, or may take, one of the slots for updates.
        dial: Dials a user's own store.
        warning_about: Tells what Kubernetes' Events say against a pod, its claim, or its StatefulSet; None if nothing.
        sizes: What the sizes stand for.
        pull_sources: Names of the Secrets with registry credentials in the release's namespace.
        pull_secrets: Finds those of them that exist, by name.
        ask: Asks an instance for its facts.
    """

    read_secret: Callable[[Key], Awaitable[Object | None]]
    serves_tls: Callable[[], bool]
    knows_consumers: Callable[[], bool]
    has_auth_data: Callable[[Key, Collection[str]], bool | None]
    is_rotation_due: Callable[[DeclaredStorage], bool]
    silent_for: Callable[[Object], float]
    outlives_at: Callable[[Key, int], str]
    nodes: Callable[[], KubernetesNodes]
    may_update: Callable[[Key], bool]
    last_seen: LastSeen
    dial: Dial
    warning_about: Callable[[Object], Awaitable[Obstacle | None]]
    sizes: Sizes = DEFAULT_SIZES
    pull_sources: Sequence[str] = ()
    pull_secrets: Callable[[], Mapping[str, Object]] = dict
    ask: Ask = ask_anew
