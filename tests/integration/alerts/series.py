"""Input series of promtool, as our processes write them.

A value `1x3` stands for four ones, `0+15x3` for 0, 15, 30, 45, and `_` for no sample.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HTTP: Final = "10.0.0.1:8080"
"""A reconciler's target; `instance` is Prometheus' own label."""
OTHER_HTTP: Final = "10.0.0.2:8080"
"""The target of the reconciler's other replica."""
_TERM: Final = re.compile(r"(?P<first>-?[\d.]+|_)(?:(?P<by>[+-][\d.]+))?(?:x(?P<times>\d+))?")


@dataclass(frozen=True, slots=True)
class Series:
    """One input series."""

    name: str
    values: str
    labels: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The series as promtool reads it."""
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}"

    def of_other_leader(self) -> Series:
        """Return what another replica of the reconciler tells of the same."""
        return replace(
            self, labels=tuple((key, OTHER_HTTP if key == "instance" else text) for key, text in self.labels)
        )


def taken_over(series: Iterable[Series], at: int) -> Iterator[Series]:
    """Have another replica of the reconciler lead from a sample on.

    The former one is scraped once more beside it, and ends then without a mark that it is stale, as one whose pod is
    lost: Prometheus goes on to find its last samples for five minutes.
    """
    for each in series:
        samples = list(_samples(each.values))
        yield replace(each, values=" ".join(samples[: at + 1]))
        yield replace(each.of_other_leader(), values=" ".join(["_"] * at + samples[at:]))


def _samples(values: str) -> Iterator[str]:
    """Write each sample out, as promtool expands them: `1x3` are four ones."""
    for term in values.split():
        parts = _TERM.fullmatch(term)
        assert parts is not None, term
        first, times = parts["first"], int(parts["times"] or 0)
        if first == "_":
            yield from ["_"] * max(times, 1)
        else:
            yield from (f"{float(first) + number * float(parts['by'] or 0):g}" for number in range(times + 1))


def process(name: str, values: str, **labels: str) -> Series:
    """A series that a process of ours tells of itself."""
    return Series(name, values, (("instance", HTTP), *labels.items()))


def own(name: str, values: str, **labels: str) -> Series:
    """A series of a storage."""
    return process(f"session_storage_{name}", values, namespace="team", storage="mine", **labels)


def theirs(name: str, values: str, **labels: str) -> Series:
    """A series of an external storage."""
    return process(f"session_storage_{name}", values, namespace="team", storage="theirs", **labels)


def condition(kind: str, values: str) -> Series:
    """Whether a condition of the storage is True."""
    return own("condition", values, type=kind, status="True")


def server(name: str, values: str, pod: int = 0, role: str = "primary", **labels: str) -> Series:
    """A series of one of the storage's Valkey servers."""
    pods = {"namespace": "team", "storage": "mine", "pod": f"mine-valkey-{pod}-0", "role": role}
    return process(f"redis_{name}", values, **pods, **labels)


SERVED: Final = own("probes_total", "0+15x400", outcome="answered")
EXISTS: Final = own("info", "1x1000", size="small", phase="Ready", version="9.1.2")


def memory(used: str) -> tuple[Series, ...]:
    """A primary that uses so much of 100 bytes."""
    return server("memory_used_bytes", used), server("memory_max_bytes", "100x400")


def sessions(count: int) -> tuple[Series, ...]:
    """Live sessions of two consumers."""
    return (
        own("sessions", f"{count - 400}x1000", consumer_namespace="team", consumer="one"),
        own("sessions", "400x1000", consumer_namespace="other", consumer="two"),
    )


def evicted(values: str) -> Series:
    """Evictions of the primary."""
    return server("evicted_keys_total", values)


def steps(every: int, by: int, count: int) -> str:
    """A counter that stands still, and grows `count` times by `by`, always after `every` samples."""
    return " ".join(f"{by * number}x{every - 1}" for number in range(count + 1))


def certificate(name: str, values: str, **labels: str) -> Series:
    """A series of the webhook's certificates."""
    return process(f"session_storage_{name}", values, **labels)
