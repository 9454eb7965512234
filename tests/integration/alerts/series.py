"""Input series of promtool, as our processes write them.

A value `1x3` stands for four ones, `0+15x3` for 0, 15, 30, 45, and `_` for no sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HTTP: Final = "10.0.0.1:8080"
"""A reconciler's target; `instance` is Prometheus' own label."""


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


def process(name: str, values: str, **labels: str) -> Series:
    """A series that a process of ours tells of itself."""
    return Series(name, values, (("instance", HTTP), *labels.items()))


def own(name: str, values: str, **labels: str) -> Series:
    """A series of a storage."""
    return process(f"session_storage_{name}", values, namespace="team", storage="mine", **labels)


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
