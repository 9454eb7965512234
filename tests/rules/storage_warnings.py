"""Every warning about a SessionStorage."""

from __future__ import annotations

from typing import Final

from tests.rules.rule import EXTERNAL, StorageRule

RULES: Final = (
    StorageRule(
        when="`size` and `external` are both set",
        spec={"size": "medium", "external": EXTERNAL},
        says="spec.size is ignored, because spec.external is set",
        why="The product does not size a store that users run themselves.",
    ),
    StorageRule(
        when="the size changes to one with a smaller disk",
        old={"size": "large"},
        spec={"size": "medium"},
        says="spec.size: medium instances keep the disk of large ones: Kubernetes shrinks no volume",
        why="Kubernetes grows volumes and never shrinks them. The storage gets less memory, and fewer instances.",
    ),
    StorageRule(
        when="`rotation` and `external` are both set",
        spec={"rotation": {"every": "720h"}, "external": EXTERNAL},
        says="spec.rotation is ignored, because spec.external is set: only its owner can change that password",
        why="Only the owner of the store can change its password.",
    ),
    StorageRule(
        when="an external storage names no Secret",
        spec={"external": {"url": "redis://redis.example.com"}},
        says="spec.external.secretRef is not set: consumers will use the store without a password",
        why="Everybody who reaches the store can read and change all sessions.",
    ),
    StorageRule(
        when="an external storage without TLS is shared with other namespaces",
        spec={"external": EXTERNAL, "allowedNamespaces": ["team-a"]},
        says=(
            "spec.external.url has no TLS, and spec.allowedNamespaces opens the store to other namespaces: what they"
            " send crosses the network in plain text, the password included: use rediss:// or valkeys://"
        ),
        why="An owner may trust the network of one namespace, but cannot see the networks of all that share the store.",
    ),
    StorageRule(
        when="`storageClassName` and `external` are both set",
        spec={"storageClassName": "fast", "external": EXTERNAL},
        says="spec.storageClassName is ignored, because spec.external is set",
        why="The product makes no disks for a store that users run themselves.",
    ),
    StorageRule(
        when="a StorageClass is named for a storage whose size has no disk",
        spec={"size": "small", "storageClassName": "fast"},
        says="spec.storageClassName is not used yet: a small storage has no disk",
        why="It counts once the size has one; nobody can add it then.",
    ),
)
