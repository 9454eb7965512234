"""The objects of ToolHive's schemas that say where something keeps its data, and what those schemas demand. Pure.

Source: ToolHive `mcpserver_types.go`, SessionStorageConfig; `mcpexternalauthconfig_types.go`, AuthServerStorageConfig
and RedisStorageConfig, with their rules in CEL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.consumers import auth_server
from shared.consumers.kinds import SESSION_STORAGE
from shared.objects.field_path import read

if TYPE_CHECKING:
    from collections.abc import Container

    from shared.objects.field_path import Path
    from shared.objects.resources import Object

MEMORY: Final = "memory"
"""The kind of store that needs nothing else said of it."""


@dataclass(frozen=True, slots=True)
class StoreBlock:
    """Says where sessions are kept, or the data of an auth server.

    Attributes:
        path: The object itself.
        kind: Its field that says which kind of store it is: `memory` or `redis`.
        holder: The object that describes a Redis; for sessions it is the block itself.
        address: Field of `holder` that says where the server is.
        instead: Field of `holder` that may say so in its place; None if there is none.
        secret: Field that names the Secret with the password.
        others: Fields that the webhook never writes, and by which a user describes another login.
        demanded: What the schema demands of `holder`, besides an address.
        unfit: What the schema refuses where there is no store.
    """

    path: Path
    kind: Path
    holder: Path
    address: Path
    secret: Path
    demanded: tuple[Path, ...]
    unfit: tuple[Path, ...]
    instead: Path | None = None
    others: tuple[Path, ...] = ()

    def is_users(self, consumer: Object, recorded: Container[Path], ours: Container[Path]) -> bool:
        """Tell whether a user states a store of their own.

        Args:
            consumer: Of any kind.
            recorded: Fields that the webhook injected earlier.
            ours: Those of them that nobody has changed since.
        """
        own = [path for path in (self.address, self.instead, *self.others) if path is not None and path not in ours]
        # Users may also have written these as the webhook would; then the webhook has not recorded them.
        changed = [path for path in (self.kind, self.secret) if path in recorded and path not in ours]
        return any(read(consumer, path) is not None for path in (*own, *changed))

    def needed(self, consumer: Object) -> tuple[Path, ...]:
        """Name the fields without which the schema refuses what a user states."""
        if read(consumer, self.kind) == MEMORY:
            return (self.kind,)
        has_other_place = self.instead is not None and read(consumer, self.instead) is not None
        return (self.kind, *self.demanded, *(() if has_other_place else (self.address,)))

    def is_incomplete(self, consumer: Object) -> bool:
        """Tell whether the schema refuses the block because nothing in it says where a store is, or how to log in."""
        if not isinstance(read(consumer, self.path), dict) or read(consumer, self.holder) is None:
            return False
        if self.must_have_kind:
            return read(consumer, self.kind) != MEMORY and read(consumer, self.address) is None
        stating = (self.address, self.instead, self.secret, *self.others)
        return all(path is None or read(consumer, path) is None for path in stating)

    @property
    def must_have_kind(self) -> bool:
        """Whether the schema refuses a block without a kind; else it takes it for `memory`."""
        return self.holder == self.path


def _of_auth_server(server: Path) -> StoreBlock:
    path, redis = (*server, "storage"), (*server, *auth_server.REDIS)
    secret = (*redis, "aclUserConfig", "passwordSecretRef")
    return StoreBlock(
        path=path,
        kind=(*path, "type"),
        holder=redis,
        address=(*redis, "addr"),
        instead=(*redis, "sentinelConfig"),
        secret=secret,
        others=((*redis, "aclUserConfig", "usernameSecretRef"),),
        demanded=(secret,),
        unfit=(redis,),
    )


SESSIONS: Final = StoreBlock(
    path=SESSION_STORAGE,
    kind=(*SESSION_STORAGE, "provider"),
    holder=SESSION_STORAGE,
    address=(*SESSION_STORAGE, "address"),
    secret=(*SESSION_STORAGE, "passwordRef"),
    demanded=(),
    unfit=((*SESSION_STORAGE, "tls"),),
)
BLOCKS: Final = (SESSIONS, *map(_of_auth_server, auth_server.SERVERS.values()))
