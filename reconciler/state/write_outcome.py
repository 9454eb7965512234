"""What became of the reconciler's writes: what the API server answered, or why it refused them. Pure.

An object may never become what the reconciler writes: policies and webhooks of the cluster change it on its way into
the API server, other controllers change it afterwards, and quotas refuse it. The reconciler compares an object with
what its own write was answered, so it does not repeat a write that has the same end every time. It keeps outcomes in
memory only: a new leader writes each such object once, and knows as much as the one before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import orjson

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Object, Resource

RETRY: Final = timedelta(seconds=60)
"""After so long the reconciler repeats a write that the API server refused: only a person can change that, and no event
tells when."""
SOON: Final = timedelta(seconds=1)
"""After so long it repeats a write that an overloaded API server did not take, or that came too late again and again;
from then on the pause doubles."""
QUICK_TRIES: Final = 3
"""So many times in a row the reconciler repeats at once what may succeed the next time: a write that came too late
because the cache was behind, or that an overloaded API server did not take; and a repair of what others change back."""
FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(minutes=10)
"""Between two further repairs of what others change back, the pause doubles from the first to the second of these."""


class Target(NamedTuple):
    """What a write is about.

    Attributes:
        action: `write`, `delete` or `label`.
        plural: The resource's name in the API.
    """

    action: str
    plural: str
    namespace: str
    name: str

    @classmethod
    def of(cls, action: str, resource: Resource, obj: Object) -> Self:
        """Say what is done to an object."""
        return cls(action, resource.plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Deviation:
    """A field in which an object is not what it should be.

    Attributes:
        path: Keys that lead to the field; an item of a list goes by its name. Empty for the whole object.
        value: Digest of what the field holds.
        is_addition: Whether somebody added it where nothing may be added.
    """

    path: tuple[str, ...] = ()
    value: str = field(default="", repr=False)
    is_addition: bool = False

    def __str__(self) -> str:
        return ".".join(self.path) or "the whole object"


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of the last write of one target.

    Attributes:
        intent: Digest of what the reconciler wanted.
        at: When the API server answered.
        refusal: Why the API server refused it, in its words; empty if it did not.
        is_temporary: Whether the same write may succeed a moment later.
        left: Where the answer differed from what the reconciler wanted.
        cured: What the write put right.
        times: How many times in a row it had the same end: the same refusal, or a repair of what had been repaired.
    """

    intent: str
    at: datetime
    refusal: str = ""
    is_temporary: bool = False
    left: frozenset[Deviation] = frozenset()
    cured: frozenset[Deviation] = frozenset()
    times: int = 1

    @property
    def is_refused_for_good(self) -> bool:
        """Whether the API server refused the write, and not merely this once."""
        return bool(self.refusal) and (not self.is_temporary or self.times >= QUICK_TRIES)

    def allows(self, found: frozenset[Deviation], now: datetime) -> bool:
        """Tell whether the same write is to be repeated, for an object that is wrong in these fields."""
        since = now - self.at
        if self.refusal:
            pause = self._pause(SOON, RETRY) if self.is_temporary else RETRY
            return not self.is_refused_for_good or since >= pause
        if found and found <= self.left:
            return False
        return not (found & self.cured) or self.times < QUICK_TRIES or since >= self._pause(FIRST_PAUSE, LONGEST_PAUSE)

    def _pause(self, first: timedelta, longest: timedelta) -> timedelta:
        doublings = min(max(self.times - QUICK_TRIES, 0), 10)  # more would only overflow
        return min(first * (1 << doublings), longest)


def digest(value: Any) -> str:
    """Tell values apart without keeping them: some are passwords."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
