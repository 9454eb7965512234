"""What a prober has seen of a rotation, related to the moment at which a fault struck. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.chaos.rotating.prober import ACCEPTED
from tests.chaos.wire import CLOSED, LOCKED_OUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

WRONG: Final = "WRONGPASS"
SETTLING_SECONDS: Final = 1.0
"""A prober learns so late at most where a new pod is, and a try takes half a second."""


@dataclass(frozen=True)
class Failure:
    """Logins that failed at one place in one way.

    Attributes:
        place: A pod, or the Service.
        kind: What the client met.
        times: When, in seconds after the fault.
    """

    place: str
    kind: str
    times: tuple[float, ...]

    def is_excused(self, recovered: float, ended: float) -> bool:
        """Tell whether a fault explains it, or the end of the former password, at which connections are closed.

        Args:
            recovered: Seconds from the fault until all had recovered.
            ended: Seconds from the fault until instances were about to refuse the former password.
        """
        end = (ended - SETTLING_SECONDS, ended + SETTLING_SECONDS) if self.kind == CLOSED else (0, 0)
        return all(0 <= at <= recovered + SETTLING_SECONDS or end[0] <= at <= end[1] for at in self.times)

    def __str__(self) -> str:
        return f"{len(self.times)} {self.kind} at {self.place} ({self.times[0]:.1f} to {self.times[-1]:.1f} s)"


@dataclass(frozen=True)
class Logins:
    """What a prober has seen of one run.

    Attributes:
        logins: How many got in.
        failures: Those that did not.
        passwords: How many the connection Secret has had.
        newest: What came of the newest one at the end, by place.
        former: What came of all others at the end, by place.
    """

    logins: int
    failures: tuple[Failure, ...]
    passwords: int
    newest: Mapping[str, str]
    former: Mapping[str, Sequence[str]]

    @property
    def refused(self) -> int:
        """How many were refused although their password gets in by promise."""
        return sum(len(failure.times) for failure in self.failures if failure.kind in LOCKED_OUT)

    @property
    def failed(self) -> int:
        """How many came to nothing for whatever reason."""
        return sum(len(failure.times) for failure in self.failures)

    def misses(self, recovered: float, ended: float, instances: int) -> Iterator[str]:
        """Say what was not as it must be.

        Args:
            recovered: Seconds from the fault until all had recovered.
            ended: Seconds from the fault until instances were about to refuse the former password.
            instances: How many the storage has.
        """
        if self.refused:
            yield "logins refused"
        if any(
            failure.kind not in LOCKED_OUT and not failure.is_excused(recovered, ended) for failure in self.failures
        ):
            yield "logins failed outside the fault"
        if self.passwords < 2:
            yield "the password has not changed"
        if len(self.newest) != instances + 1 or set(self.newest.values()) != {ACCEPTED}:
            yield "the new password does not get in everywhere"
        if any(answer != WRONG for answers in self.former.values() for answer in answers):
            yield "the former password is not refused everywhere"


def steady_places(lines: Iterable[str]) -> int:
    """Read from a prober's output at how many places it has got in."""
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return int(told[-1].get("steady", 0)) if told else 0


def logins(lines: Iterable[str], struck: float) -> Logins | None:
    """Read a prober's verdict from its output; None if it has not come to one.

    Args:
        lines: What it printed.
        struck: When the fault struck, by the monotonic clock.
    """
    for line in lines:
        if line.startswith("{") and "former" in (said := json.loads(line)):
            failures = tuple(_failure(told, struck) for told in said["failures"])
            return Logins(said["logins"], failures, said["passwords"], said["newest"], said["former"])
    return None


def _failure(told: dict[str, Any], struck: float) -> Failure:
    return Failure(told["place"], told["kind"], tuple(at - struck for at in told["times"]))
