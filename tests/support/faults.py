"""What can go wrong in the middle of a rotation of a storage with one instance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared import errors
from shared.objects.resources import PODS
from tests.support.drill import Drill
from tests.support.simulated import NAMESPACE


async def nothing(drill: Drill) -> None:
    pass


async def container_restarts(drill: Drill) -> None:
    for instance in drill.simulation.valkey.instances.values():
        instance.restart()


async def pod_is_replaced(drill: Drill) -> None:
    await drill.simulation.api.delete(PODS, NAMESPACE, "mine-valkey-0-0")
    await drill.simulation.boot()


async def instance_is_away(drill: Drill) -> None:
    drill.instance.is_reachable = False
    for _ in range(3):
        await drill.step()
    drill.instance.is_reachable = True


async def api_server_is_away(drill: Drill) -> None:
    """Keep the API server from answering the reconciler; ToolHive still gets answers."""
    refuse, away = drill.simulation.api.refuse, errors.Unavailable("the API server does not answer")
    drill.simulation.api.refuse = lambda _: away if drill.is_acting else None
    for _ in range(3):
        await drill.step()
    drill.simulation.api.refuse = refuse


async def toolhive_is_away(drill: Drill) -> None:
    drill.toolhive.is_idle = True
    for _ in range(3):
        await drill.step()
    drill.toolhive.is_idle = False


Fault = Callable[[Drill], Awaitable[None]]
FAULTS: list[Fault] = [
    nothing,
    container_restarts,
    pod_is_replaced,
    instance_is_away,
    api_server_is_away,
    toolhive_is_away,
]
