"""Reads a prober's verdict on a rotation, with times in seconds after the fault. Pure."""

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
"""Allowance for the prober, which learns a new pod's address late; a try takes up to half a second."""


@dataclass(frozen=True)
class Failure:
    """Logins that failed at one place with one kind of error.

    Attributes:
        place: The name of a pod, or `service`.
        kind: The kind of error, as `tests.chaos.wire.kind_of` names it.
        times: When they failed, in seconds after the fault.
    """

    place: str
    kind: str
    times: tuple[float, ...]

    def is_excused(self, recovered: float, ended: float) -> bool:
        """Tell whether the fault explains every failure.

        The end of the former password explains closed connections too, because instances close connections then.

        Args:
            recovered: Seconds from the fault until the storage had recovered.
            ended: Seconds from the fault until the phase in which instances begin to refuse the former password.
        """
        end = (ended - SETTLING_SECONDS, ended + SETTLING_SECONDS) if self.kind == CLOSED else (0, 0)
        return all(0 <= at <= recovered + SETTLING_SECONDS or end[0] <= at <= end[1] for at in self.times)

    def __str__(self) -> str:
        return f"{len(self.times)} {self.kind} at {self.place} ({self.times[0]:.1f} to {self.times[-1]:.1f} s)"


@dataclass(frozen=True)
class Logins:
    """A prober's verdict on one run.

    Attributes:
        logins: Number of logins that worked.
        failures: Logins that failed.
        passwords: Number of passwords that the connection Secret has had.
        newest: Outcome of a login with the newest password at the end, by place.
        former: Outcomes of logins with all other passwords at the end, by place.
    """

    logins: int
    failures: tuple[Failure, ...]
    passwords: int
    newest: Mapping[str, str]
    former: Mapping[str, Sequence[str]]

    @property
    def refused(self) -> int:
        """The number of logins that an instance refused although their password had to work."""
        return sum(len(failure.times) for failure in self.failures if failure.kind in LOCKED_OUT)

    @property
    def failed(self) -> int:
        """The number of logins that failed for any reason, refused ones included."""
        return sum(len(failure.times) for failure in self.failures)

    def misses(self, recovered: float, ended: float, instances: int) -> Iterator[str]:
        """List how the logins broke the invariant.

        Args:
            recovered: Seconds from the fault until the storage had recovered.
            ended: Seconds from the fault until the phase in which instances begin to refuse the former password.
            instances: Number of the storage's instances.
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
            yield "the new password does not work everywhere"
        if any(answer != WRONG for answers in self.former.values() for answer in answers):
            yield "the former password is not refused everywhere"


def steady_places(lines: Iterable[str]) -> int:
    """Read from a prober's output at how many places a login has worked."""
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return int(told[-1].get("steady", 0)) if told else 0


def logins(lines: Iterable[str], struck: float) -> Logins | None:
    """Read a prober's verdict from its output; None if it has not printed one.

    Args:
        lines: The lines that it printed.
        struck: When the fault struck, in seconds of the monotonic clock.
    """
    for line in lines:
        if line.startswith("{") and "former" in (said := json.loads(line)):
            failures = tuple(_failure(told, struck) for told in said["failures"])
            return Logins(said["logins"], failures, said["passwords"], said["newest"], said["former"])
    return None


def _failure(told: dict[str, Any], struck: float) -> Failure:
    return Failure(told["place"], told["kind"], tuple(at - struck for at in told["times"]))
