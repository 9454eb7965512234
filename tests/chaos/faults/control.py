"""Faults of those who should repair a fault: the leading reconciler and the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.chaos import leaders, nodes, processes
from tests.chaos.faults.fault import hold, now

if TYPE_CHECKING:
    from tests.chaos.faults.fault import Scene

MIDDLE_SECONDS: Final = 0.1
"""A failover or a switchover takes about this long; the leader dies at a random moment of it."""
AWAY_SECONDS: Final = 30


def kill_leader_in_failover(scene: Scene) -> float:
    """Kill the primary's server, and the leading reconciler during the failover."""
    primary = scene.stand.primary()
    server, leader = processes.of_pod(primary), processes.of_pod(leaders.leading(scene.stand.kube))
    struck = now()
    processes.kill(server)
    hold(scene.rng.uniform(0, MIDDLE_SECONDS))
    processes.kill(leader)
    scene.stand.await_restarted(primary, server)
    leaders.await_recovered(scene.stand.kube)
    return struck


def kill_leader_in_switchover(scene: Scene) -> float:
    """Ask for a switchover, and kill the leading reconciler during it; the next leader finishes it or undoes it."""
    leader = processes.of_pod(leaders.leading(scene.stand.kube))
    struck = now()
    scene.stand.switch_over()
    hold(scene.rng.uniform(0, MIDDLE_SECONDS))
    processes.kill(leader)
    leaders.await_recovered(scene.stand.kube)
    return struck


def stop_api_server(scene: Scene) -> float:
    """Freeze the API server, and kill the primary's server meanwhile."""
    primary = scene.stand.primary()
    server = processes.of_pod(primary)
    with processes.frozen(processes.of_service(f"{nodes.CONTROL_PLANE}/kube-apiserver")):
        struck = now()
        processes.kill(server)
        hold(AWAY_SECONDS)
    scene.stand.await_restarted(primary, server)
    leaders.await_recovered(scene.stand.kube)
    return struck


def wake_old_leader(scene: Scene) -> float:
    """Freeze the leading reconciler until another one leads, kill the primary's server, and wake the old leader."""
    leader = leaders.leading(scene.stand.kube)
    primary = scene.stand.primary()
    with processes.frozen(processes.of_pod(leader)):
        leaders.await_other(scene.stand.kube, leader["metadata"]["name"])
        server = processes.of_pod(primary)
        struck = now()
        processes.kill(server)
    scene.stand.await_restarted(primary, server)
    leaders.await_recovered(scene.stand.kube)
    return struck
