"""Every fault, what it is called, on which sizes it is tried, and what is wanted of it.

The figures of the targets are promises to users; a change here is a release note.
"""

from __future__ import annotations

from typing import Final

from shared.session_storage.sizes import Size
from tests.chaos.faults import control, losses, partitions, planned, sequences, servers
from tests.chaos.faults.fault import Fault
from tests.chaos.figures import Target

FENCE_SECONDS: Final = 4.0
"""A primary without replicas refuses writes after three seconds, which it notices within another one."""
FAILOVER: Final = Target(median=0.3, worst=1.2)
UNREACHABLE: Final = Target(worst=5.0, fence=FENCE_SECONDS)
PLANNED: Final = Target(median=0.12, worst=0.4, is_quiet=True)
UNNOTICED: Final = Target(worst=0.4)
KEPT: Final = Target()
"""It comes back by itself, and nothing that was acknowledged is lost; how long that takes is not promised."""

LARGE: Final = (Size.LARGE,)
PERSISTENT: Final = (Size.MEDIUM, Size.LARGE)

FAULTS: Final = (
    Fault(
        "sigkill",
        "The primary's server is killed (SIGKILL).",
        servers.kill_server,
        {Size.MEDIUM: KEPT, Size.LARGE: FAILOVER},
    ),
    Fault(
        "force-delete",
        "The primary's pod is deleted without grace.",
        servers.delete_pod,
        {Size.MEDIUM: KEPT, Size.LARGE: FAILOVER},
    ),
    Fault(
        "sigstop",
        f"The primary's server is frozen (SIGSTOP) for {servers.FROZEN_SECONDS} s.",
        servers.freeze_server,
        {Size.MEDIUM: KEPT, Size.LARGE: UNREACHABLE},
    ),
    Fault(
        "partition",
        f"The primary's node is cut off from everything for {partitions.CUT_SECONDS} s.",
        partitions.cut_off_node,
        {Size.MEDIUM: KEPT, Size.LARGE: UNREACHABLE},
        partitions.apart,
    ),
    Fault(
        "partition-client",
        f"The client cannot reach the primary for {partitions.CUT_SECONDS} s; everybody else can.",
        partitions.cut_off_client,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "partition-reconcilers",
        f"The reconcilers cannot reach the primary for {partitions.CUT_SECONDS} s; everybody else can.",
        partitions.cut_off_reconcilers,
        dict.fromkeys(LARGE, UNREACHABLE),
    ),
    Fault(
        "partition-leader",
        f"The reconciler that leads is cut off from everything for {partitions.LEASE_SECONDS} s.",
        partitions.cut_off_leader,
        dict.fromkeys(LARGE, UNNOTICED),
    ),
    Fault(
        "leader-in-failover",
        "The primary's server is killed, and within 0.1 s the reconciler that leads.",
        control.kill_leader_in_failover,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "leader-in-switchover",
        "An annotation asks for a switchover, and within 0.1 s the reconciler that leads is killed.",
        control.kill_leader_in_switchover,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "api-away",
        f"The API server is frozen for {control.AWAY_SECONDS} s, and the primary's server is killed meanwhile.",
        control.stop_api_server,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "two-leaders",
        "The reconciler that leads is frozen until another one leads; as the old one goes on, the primary is killed.",
        control.wake_old_leader,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "emptied",
        "The primary's pod is deleted without grace, and its volume emptied before the next one starts.",
        losses.empty_volume,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "all-pods",
        "All pods are deleted at once without grace, and there is no reconciler until they run again.",
        losses.delete_all_pods,
        dict.fromkeys(PERSISTENT, KEPT),
    ),
    Fault(
        "disk-full",
        f"The primary's disk is full for {losses.FULL_SECONDS} s.",
        losses.fill_disk,
        dict.fromkeys(LARGE, KEPT),
        losses.on_small_disk,
    ),
    Fault(
        "switchover",
        "An annotation asks for a switchover.",
        planned.switch_over,
        dict.fromkeys(Size, PLANNED),
    ),
    Fault(
        "drain",
        "The primary's node is drained of the storage's pods.",
        planned.drain,
        dict.fromkeys(Size, PLANNED),
    ),
    Fault(
        "image",
        "The chart is upgraded to another reference of the same Valkey image.",
        planned.update_image,
        dict.fromkeys(Size, PLANNED),
    ),
    Fault(
        "resize",
        "The storage gets the next larger size; a large one becomes medium.",
        planned.resize,
        dict.fromkeys(planned.NEXT, PLANNED),
    ),
    Fault(
        "sequence",
        f"{sequences.LENGTH} faults chosen at random, each as soon as writes are acknowledged again.",
        sequences.inflict,
        dict.fromkeys(LARGE, KEPT),
    ),
)
BY_NAME: Final = {fault.name: fault for fault in FAULTS}
