"""What the reconciler asks a user's own store, and what the answers mean. Pure.

The status that comes of this is for people who may know nothing else of the server. So it is one of a fixed set of
sentences: no byte that a server sends is repeated. It also does not change from look to look while the server does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.state.external_store import DialResult, Outcome
from reconciler.valkey.bounded_replies import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.credentials.login import Credentials
    from reconciler.valkey.bounded_replies import Reply

Command: TypeAlias = tuple[str, ...]

PROBE_PREFIX: Final = "thv:session-storage:probe:"
SLOT: Final = "{thv:session-storage:probe}"
"""A hash tag: the keys of all looks are in one slot, or a cluster would answer MOVED to some of them alone."""
PROBE_SECONDS: Final = 10
"""How long the written key lives, so that nobody has to delete it."""

NOT_REDIS: Final = DialResult(Outcome.NOT_REDIS, "what answers there does not speak Redis' protocol")
_DENIED: Final = DialResult(Outcome.AUTH, "the user name or password is wrong, missing or superfluous")
_CLUSTER: Final = DialResult(Outcome.CLUSTER, "it runs in cluster mode")
_REPLICA: Final = DialResult(Outcome.READ_ONLY, "it is a replica, or takes no writes")
_MEANINGS: Final = {
    "WRONGPASS": _DENIED,
    "NOAUTH": _DENIED,
    "NOPERM": DialResult(Outcome.AUTH, "the user lacks the right to PING, SELECT, SET or GET"),
    "DENIED": DialResult(Outcome.PROTECTED, "it is in protected mode, and serves its own host alone"),
    "READONLY": _REPLICA,
    "MASTERDOWN": _REPLICA,
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "TRYAGAIN": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "MISCONF": DialResult(Outcome.CANNOT_SAVE, "it takes no writes, because it cannot save them to its disk"),
    "OOM": DialResult(Outcome.OUT_OF_MEMORY, "it takes no writes, because its memory is full"),
    "LOADING": DialResult(Outcome.LOADING, "it is still reading its data"),
    "BUSY": DialResult(Outcome.BUSY, "it runs a script that does not end"),
    "NOREPLICAS": DialResult(Outcome.NO_REPLICAS, "it takes no writes, because too few replicas are in sync"),
}
"""What the first word of an error means. Source: `createSharedObjects` in Valkey's server.c."""
_SENTINEL: Final = DialResult(Outcome.SENTINEL, "it is a Sentinel, which keeps no data")
_HANGS_UP: Final = DialResult(Outcome.UNUSABLE, "it hangs up")
_AT_THE_DOOR: Final = frozenset({Outcome.AUTH, Outcome.PROTECTED, Outcome.FULL})
_FULL: Final = DialResult(Outcome.FULL, "it has as many clients as it takes")
_MAX_CLIENTS: Final = "max number of clients"
"""Part of the error that a server with too many clients sends and hangs up; it has no word of its own."""
_UNKNOWN_COMMAND: Final = "unknown command"
"""Part of the error of a server that lacks a command: these commands every server has but a Sentinel."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The commands of one look, in their order, and what must come back.

    They go out together: it costs one round trip, and a server that answers and hangs up at once is understood.

    Attributes:
        value: The value that is written, and must be read again.
    """

    login: Credentials = field(repr=False)
    db: int
    name: str
    value: str

    @property
    def commands(self) -> tuple[Command, ...]:
        """All commands."""
        return tuple(words for _, words in self._named())

    def judge(self, replies: Sequence[Reply]) -> DialResult:
        """Tell what the replies mean; some are missing if the server hung up before."""
        return next(filter(None, self._findings(replies)), DialResult(Outcome.OK))

    def _findings(self, replies: Sequence[Reply]) -> Iterator[DialResult | None]:
        """List what is wrong, first what lasts and explains the rest, so that the reason is the same at every look."""
        said = dict(zip((name for name, _ in self._named()), replies, strict=False))
        hello = _pairs(said.pop("HELLO", None))
        errors = (_meaning(name, reply) for name, reply in said.items() if isinstance(reply, ErrorReply))
        found = next(errors, None)
        yield _SENTINEL if hello.get("mode") == "sentinel" else None
        yield found if found is not None and found.outcome in _AT_THE_DOOR else None
        yield _CLUSTER if hello.get("mode") == "cluster" else None
        yield _REPLICA if hello.get("role") in {"replica", "slave"} else None
        yield found
        if "GET" not in said:
            yield _HANGS_UP if replies else NOT_REDIS
        elif said["GET"] != self.value:
            yield DialResult(Outcome.UNUSABLE, "a key that was written cannot be read back")

    def _named(self) -> tuple[tuple[str, Command], ...]:
        key = f"{PROBE_PREFIX}{SLOT}:{self.name}"
        login: tuple[tuple[str, Command], ...] = ()
        if self.login.username or self.login.password:
            # A password alone, if that suffices: servers before Redis 6 know no user names.
            user = (self.login.username,) if self.login.username else ()
            login = (("AUTH", ("AUTH", *user, self.login.password)),)
        select: tuple[tuple[str, Command], ...] = (("SELECT", ("SELECT", str(self.db))),) if self.db else ()
        return (
            *login,
            ("HELLO", ("HELLO", "2")),
            *select,
            ("PING", ("PING",)),
            ("SET", ("SET", key, self.value, "EX", str(PROBE_SECONDS))),
            ("GET", ("GET", key)),
        )


def _pairs(reply: Reply) -> dict[str, Reply]:
    """Read the answer to HELLO, a list of keys and values; servers before Redis 6 answer with an error."""
    if not isinstance(reply, list):
        return {}
    return {key: value for key, value in zip(reply[::2], reply[1::2], strict=False) if isinstance(key, str)}


def _meaning(command: str, error: ErrorReply) -> DialResult:
    if (known := _MEANINGS.get(error.word)) is not None:
        return known
    if _MAX_CLIENTS in error.text:
        return _FULL
    match command:
        case "AUTH":
            return _DENIED
        case "SELECT" | "SET" | "GET" if _UNKNOWN_COMMAND in error.text:
            return _SENTINEL
        case "SELECT":
            return DialResult(Outcome.UNUSABLE, "it does not have the database that the URL names")
        case _:
            return DialResult(Outcome.UNUSABLE, f"it answers {command} with an error")
