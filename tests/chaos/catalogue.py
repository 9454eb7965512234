"""All faults, each with its name, its description, and the target for clients on each size that it strikes.

The figures of the targets are promises to users: whoever changes one writes a release note.
"""

from __future__ import annotations

from typing import Final

from shared.session_storage.sizes import Size
from tests.chaos.faults import control, losses, neighbours, partitions, planned, sequences, servers
from tests.chaos.faults.fault import Fault
from tests.chaos.figures import Target

FENCE_SECONDS: Final = 4.0
"""A primary without replicas refuses writes after three seconds, and takes up to one more second to notice."""
KILLED: Final = Target(median=0.25, worst=1.0)
DELETED: Final = Target(median=0.4, worst=1.2)
DELETED_ALONE: Final = Target(median=1.5, worst=2.5)
"""There is no replica to take over: Kubernetes has to start another pod."""
ANNOUNCED: Final = Target(median=0.15, worst=0.5, spares_calls=True)
"""Kubernetes says so before it ends the primary's pod."""
UNREACHABLE: Final = Target(worst=5.0, fence=FENCE_SECONDS)
SCRIPT: Final = Target(worst=5.0)
"""Valkey answers nobody for two seconds, and then lets the reconciler end the script; no instance has to take over."""
WRITTEN: Final = Target(worst=9.0)
"""The same two seconds, five more in which the script may still end, and the time of a failover or of a restart."""
FROZEN: Final = Target(worst=6.5, fence=FENCE_SECONDS)
"""ToolHive's client waits 3 s for an answer, and connects again too early: the kernel of a frozen server accepts, and
nobody answers for another 3 s. A client that gives up sooner is back as soon as another instance has taken over."""
CROWDED: Final = Target(worst=5.0)
"""While fifty pods start, clients, servers, kubelets and the reconciler share two processors with them."""
CUT_OFF: Final = Target(median=5.0, worst=6.0, fence=FENCE_SECONDS)
UNSUPERVISED: Final = Target(worst=5.0)
PLANNED: Final = Target(median=0.12, worst=0.4, is_quiet=True, spares_calls=True)
UNNOTICED: Final = Target(worst=0.4)
KEPT: Final = Target()
"""The storage recovers by itself and loses no acknowledged write; we do not promise how soon."""

LARGE: Final = (Size.LARGE,)
PERSISTENT: Final = (Size.MEDIUM, Size.LARGE)

FAULTS: Final = (
    Fault(
        "sigkill",
        "A SIGKILL ends the primary's process.",
        servers.kill_server,
        {Size.MEDIUM: KEPT, Size.LARGE: KILLED},
    ),
    Fault(
        "force-delete",
        "Somebody deletes the primary's pod without a grace period.",
        servers.delete_pod,
        {Size.MEDIUM: DELETED_ALONE, Size.LARGE: DELETED},
    ),
    Fault(
        "delete",
        "Somebody deletes the primary's pod, which has its own grace period to end.",
        servers.delete_with_grace,
        dict.fromkeys(LARGE, ANNOUNCED),
    ),
    Fault(
        "evict",
        "An autoscaler cordons the primary's node, and asks to evict the pod until the API server accepts.",
        planned.evict,
        dict.fromkeys(LARGE, ANNOUNCED),
    ),
    Fault(
        "sigstop",
        f"A SIGSTOP freezes the primary's process for {servers.FROZEN_SECONDS} s.",
        servers.freeze_server,
        {Size.MEDIUM: KEPT, Size.LARGE: FROZEN},
    ),
    Fault(
        "script",
        "A consumer runs a script that never ends, and has written nothing.",
        servers.run_endless_script,
        dict.fromkeys(PERSISTENT, SCRIPT),
    ),
    Fault(
        "script-written",
        "A consumer runs a script that never ends, and has written: Valkey cannot end it.",
        servers.run_script_that_has_written,
        dict.fromkeys(PERSISTENT, WRITTEN),
    ),
    Fault(
        "partition",
        f"The primary's node, which hosts no DNS server, reaches nothing for {partitions.CUT_SECONDS} s.",
        partitions.cut_off_node,
        {Size.MEDIUM: KEPT, Size.LARGE: CUT_OFF},
        partitions.separate_primary,
    ),
    Fault(
        "partition-client",
        f"The writers cannot reach the primary for {partitions.CUT_SECONDS} s; everybody else can.",
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
        f"The leading reconciler reaches nothing for {partitions.LEASE_SECONDS} s.",
        partitions.cut_off_leader,
        dict.fromkeys(LARGE, UNNOTICED),
    ),
    Fault(
        "leader-in-failover",
        "A SIGKILL ends the primary's process, and within 0.1 s another one the leading reconciler's.",
        control.kill_leader_in_failover,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "leader-in-switchover",
        "An annotation asks for a switchover, and within 0.1 s a SIGKILL ends the leading reconciler's process.",
        control.kill_leader_in_switchover,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "api-away",
        f"The API server freezes for {control.AWAY_SECONDS} s, and meanwhile a SIGKILL ends the primary's process.",
        control.stop_api_server,
        dict.fromkeys(LARGE, UNSUPERVISED),
    ),
    Fault(
        "two-leaders",
        "The leading reconciler freezes until another one leads; as it wakes up, a SIGKILL ends the primary.",
        control.wake_old_leader,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "emptied",
        "Somebody deletes the primary's pod without a grace period, and empties its volume before the next pod starts.",
        losses.empty_volume,
        dict.fromkeys(LARGE, KEPT),
    ),
    Fault(
        "all-pods",
        "Somebody deletes all pods at once without a grace period; no reconciler runs until the pods run again.",
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
        "fifty-created",
        f"{neighbours.CREATED} storages are created at once, and a SIGKILL ends the primary's process meanwhile.",
        neighbours.kill_beside_new_storages,
        dict.fromkeys(LARGE, CROWDED),
    ),
    Fault(
        "streaming-stores",
        f"{neighbours.STREAMING} external storages have a store that sends without end; a SIGKILL ends the primary's"
        " process.",
        servers.kill_server,
        dict.fromkeys(LARGE, KILLED),
        neighbours.beside_streaming_stores,
    ),
    Fault(
        "switchover",
        "An annotation asks for a switchover.",
        planned.switch_over,
        dict.fromkeys(Size, PLANNED),
    ),
    Fault(
        "drain",
        "Somebody drains the primary's node of the storage's pods.",
        planned.drain,
        dict.fromkeys(Size, PLANNED),
    ),
    Fault(
        "image",
        "A chart upgrade names the same Valkey image by another reference.",
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
        f"{sequences.LENGTH} random faults follow each other, each as soon as the primary acknowledges writes again.",
        sequences.inflict,
        dict.fromkeys(LARGE, KEPT),
    ),
)
BY_NAME: Final = {fault.name: fault for fault in FAULTS}
