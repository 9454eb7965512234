"""Whatever people do to the objects, and wherever the controller is killed, no admission fails and all recovers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from certs.pki import issue
from certs.pki.pem import encoded
from shared.objects.resources import SECRETS
from tests.support.certificates import CA, NAMES, NAMESPACE, TLS, Crash, World
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    Deed: TypeAlias = Callable[[World], Awaitable[None]]


async def rotate(world: World) -> None:
    await world.ask_for_rotation()


async def lose_authority(world: World) -> None:
    await world.delete_secret(CA)


async def lose_leaf(world: World) -> None:
    await world.delete_secret(TLS)


async def lose_both(world: World) -> None:
    await world.delete_secret(CA)
    await world.delete_secret(TLS)


async def empty_leaf(world: World) -> None:
    await world.edit_secret(TLS, {"tls.crt": "", "tls.key": ""})


async def scribble(world: World) -> None:
    await world.edit_secret(TLS, {"tls.crt": encoded(b"scribble"), "tls.key": encoded(b"scribble")})


async def mismatch_the_key(world: World) -> None:
    secret = world.api.objects[SECRETS.plural, NAMESPACE, TLS]
    other = issue.issue_authority(world.clock())
    await world.edit_secret(TLS, {**secret["data"], "tls.key": encoded(other.key_pem)})


async def restore_another_authority(world: World) -> None:
    other = issue.issue_authority(world.clock())
    await world.edit_secret(CA, {"tls.crt": encoded(other.certificate_pem), "tls.key": encoded(other.key_pem)})


async def bring_a_strangers_leaf(world: World) -> None:
    leaf = issue.issue_serving(issue.issue_authority(world.clock()), NAMES, world.clock())
    secret = world.api.objects[SECRETS.plural, NAMESPACE, TLS]
    changed = {"tls.crt": encoded(leaf.certificate_pem), "tls.key": encoded(leaf.key_pem)}
    await world.edit_secret(TLS, {**secret["data"], **changed})


async def let_time_pass(world: World) -> None:
    """Let enough time pass for several renewals of the leaf, and one of the authority."""
    await asyncio.sleep(50 * 60)
    assert sum(event.reason == "CertificateIssued" for event in world.events) > 3
    assert "Retire" in [event.reason for event in world.events]


async def restart_a_pod(world: World) -> None:
    """Restart a pod in the middle of a rotation, so that the new pod starts with the old leaf."""
    await world.ask_for_rotation()
    await asyncio.sleep(30)
    await world.restart_pod(0)


WRITES: dict[Deed, int] = {
    rotate: 10,
    lose_authority: 8,
    lose_leaf: 1,
    lose_both: 8,
    restore_another_authority: 8,
    scribble: 1,
}
"""Number of writes that follow each deed: two webhook configurations each time, and otherwise Secrets."""
OTHERS = [empty_leaf, mismatch_the_key, bring_a_strangers_leaf, let_time_pass, restart_a_pod]


async def lived_through(deed: Deed, crash_at: int | None = None) -> tuple[World, int]:
    """Do it to a world at rest, kill the controller right before its nth write, and count its writes."""
    world = World()
    attempts = 0
    ourselves = asyncio.current_task()

    def refuse(_: str) -> BaseException | None:
        nonlocal attempts
        if asyncio.current_task() is ourselves:
            return None
        attempts += 1
        return Crash() if attempts == crash_at else None

    async with world.running(), world.controlled():
        await world.settle()
        world.api.refuse = refuse
        with world.checking_admissions():
            await deed(world)
            await world.settle()
    return world, attempts


@pytest.mark.parametrize("deed", [*WRITES, *OTHERS], ids=lambda deed: deed.__name__)
@in_virtual_time
async def test_no_admission_fails(deed: Deed) -> None:
    world, writes = await lived_through(deed)
    assert world.failures == []
    assert writes == WRITES.get(deed, writes)


CRASHES = [(deed, number) for deed, writes in WRITES.items() for number in range(1, writes + 1)]


@pytest.mark.parametrize(("deed", "number"), CRASHES, ids=lambda value: getattr(value, "__name__", str(value)))
@in_virtual_time
async def test_a_controller_killed_between_any_two_writes_goes_on_where_it_was(deed: Deed, number: int) -> None:
    world, writes = await lived_through(deed, number)
    assert world.failures == []
    assert writes > number


@in_virtual_time
async def test_without_the_dwell_admissions_would_fail() -> None:
    """This shows that the model finds errors: API servers that learn late need the dwell."""
    world = World(DWELL="1s")
    async with world.running(), world.controlled():
        await world.settle()
        with world.checking_admissions():
            await world.ask_for_rotation()
            await world.settle()
    assert world.failures
