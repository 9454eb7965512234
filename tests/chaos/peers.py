"""The best that two other operators reached when a fault like one of ours struck their primary.

We measured them on 23 November 2026: three instances each, on a cluster of three nodes on one machine of two
processors, Kubernetes 1.36 with kube-proxy's defaults. The client wrote a key about every 5 ms through the operator's
Service, and waited 1 s for anything. Each figure is the shortest gap of all runs, so that no other choice favours the
peer more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOWL: Final = "howl-cloud/redis-operator"
WELLCAKE: Final = "melancholictheory/wellcake"
REVISIONS: Final = {HOWL: "d11e7dc", WELLCAKE: "4bd7279"}


@dataclass(frozen=True)
class Peer:
    """The shortest gap of all peers after a fault.

    Attributes:
        fault: Name of our fault that is like theirs.
        name: Repository of the operator.
        seconds: The gap, in seconds.
        runs: Number of runs with that operator.
        others: What else these runs showed.
    """

    fault: str
    name: str
    seconds: float
    runs: int
    others: str

    @property
    def nickname(self) -> str:
        """A short name."""
        return "howl" if self.name == HOWL else "wellcake"


BEST: Final = (
    Peer("sigkill", WELLCAKE, 1.05, 4, "it lost all 1,101 writes; the best gap without a lost write is howl's 2.41 s"),
    Peer("force-delete", HOWL, 1.28, 4, "the worst was 2.28 s; no write was lost"),
    Peer("partition", HOWL, 6.05, 2, "the other was 24.2 s; no write was lost"),
    Peer(
        "image", HOWL, 1.19, 4, "the worst was 6.46 s; each lost more than 1,700 writes; a new CPU request, not image"
    ),
)
BY_FAULT: Final = {peer.fault: peer for peer in BEST}
