"""By which prefix of its key a session is one consumer's. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from reconciler.metrics.storage_lines import UNKNOWN
from shared import names
from shared.consumers.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.consumers.identity import Consumer, Usage

MAX_PREFIXES: Final = 1000
"""Each question to Valkey names them all, and each consumer is a label of its own; sessions of further consumers are
nobody's known."""
MAX_BYTES: Final = 128
"""How long a prefix may be that a user chose: Valkey gets all of them with each question, and tries each length."""


@dataclass(frozen=True, slots=True)
class SessionPrefixes:
    """The prefixes of a storage's consumers.

    Attributes:
        own: Those that the webhook gives consumers (`names.key_prefix`), each with its consumer.
        foreign: Those that users chose themselves, the longest ones first.
    """

    own: tuple[tuple[str, Consumer], ...] = ()
    foreign: tuple[tuple[str, Consumer], ...] = ()

    @classmethod
    def of(cls, usages: Iterable[Usage]) -> Self:
        """List the prefixes of all consumers that keep sessions.

        A prefix that two of them chose does not tell whose a session is.
        """
        keeping = [usage for usage in usages if KINDS[usage.consumer.kind].has_sessions][:MAX_PREFIXES]
        own = {names.key_prefix(*usage.consumer): usage.consumer for usage in keeping}
        chosen = [each for each in keeping if each.key_prefix not in own and 0 < _size(each.key_prefix) <= MAX_BYTES]
        times = Counter(usage.key_prefix for usage in chosen)
        foreign = [(each.key_prefix, each.consumer) for each in chosen if times[each.key_prefix] == 1]
        return cls(tuple(own.items()), tuple(sorted(foreign, key=lambda each: (-_size(each[0]), each[0]))))

    @property
    def texts(self) -> tuple[str, ...]:
        """All prefixes; their places, from 1 on, are how a count names them."""
        return tuple(prefix for prefix, _ in (*self.own, *self.foreign))

    def by_consumer(self, counts: Mapping[int, int]) -> dict[tuple[str, str], int]:
        """Sum counts by consumer; those that keep sessions and have none count 0.

        Args:
            counts: By the place of a prefix; 0 stands for keys of sessions that begin with none of them.

        Returns:
            By namespace and name; `("", UNKNOWN)` for sessions of nobody known here.
        """
        consumers = [consumer for _, consumer in (*self.own, *self.foreign)]
        found = {(consumer.namespace, consumer.name): 0 for consumer in consumers}
        for place, count in counts.items():
            consumer = consumers[place - 1] if place else None
            key = (consumer.namespace, consumer.name) if consumer is not None else ("", UNKNOWN)
            found[key] = found.get(key, 0) + count
        return found


def _size(prefix: str) -> int:
    """Tell how many bytes a prefix has, as Valkey counts."""
    return len(prefix.encode())
