"""When the enforcer loads rulesets into nodes, and when not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from deploy.local.errors import StepFailed
from deploy.local.netpol.enforcer import Enforcer


class FakeNodes:
    """Two nodes that record the rulesets they get, and the desired ruleset of each."""

    def __init__(self) -> None:
        self.wanted = {"node1": "a\n", "node2": "b\n"}
        self.renders = 0
        self.refusals = 0
        self.loads: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.namespaces = {name: Path("/run/netns", name) for name in self.wanted}

    def render(self, node: str) -> str:
        self.renders += 1
        return self.wanted[node]

    async def load(self, namespace: Path, text: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StepFailed("no such namespace")
        await self.loads.put((namespace.name, text))

    async def next_load(self) -> tuple[str, str]:
        return await asyncio.wait_for(self.loads.get(), 5)


@asynccontextmanager
async def running(nodes: FakeNodes) -> AsyncIterator[Enforcer]:
    enforcer = Enforcer(nodes.namespaces, nodes.render, nodes.load, retry_seconds=0.01)
    task = asyncio.create_task(enforcer.run())
    try:
        yield enforcer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_every_node_gets_its_ruleset_at_the_start() -> None:
    nodes = FakeNodes()
    async with running(nodes):
        assert {await nodes.next_load(), await nodes.next_load()} == {("node1", "a\n"), ("node2", "b\n")}


async def test_only_a_node_whose_ruleset_changed_gets_it_again() -> None:
    nodes = FakeNodes()
    async with running(nodes) as enforcer:
        await nodes.next_load()
        await nodes.next_load()
        nodes.wanted["node2"] = "c\n"
        enforcer.note_change(None, {})
        assert await nodes.next_load() == ("node2", "c\n")
        nodes.wanted["node1"] = "d\n"
        enforcer.note_change({}, None)
        assert await nodes.next_load() == ("node1", "d\n")
        assert nodes.loads.empty()


async def test_a_burst_of_changes_is_rendered_once() -> None:
    nodes = FakeNodes()
    async with running(nodes) as enforcer:
        await nodes.next_load()
        await nodes.next_load()
        nodes.renders = 0
        nodes.wanted["node1"] = "c\n"
        for _ in range(100):
            enforcer.note_change(None, {})
        await nodes.next_load()
        assert nodes.renders == len(nodes.wanted)


async def test_a_ruleset_that_could_not_be_loaded_is_tried_again() -> None:
    nodes = FakeNodes()
    nodes.refusals = 3
    async with running(nodes):
        assert {await nodes.next_load(), await nodes.next_load()} == {("node1", "a\n"), ("node2", "b\n")}


async def test_a_node_that_has_booted_anew_gets_its_ruleset_again(tmp_path: Path) -> None:
    nodes = FakeNodes()
    namespace = nodes.namespaces["node2"] = tmp_path / "node2"
    namespace.symlink_to("/proc/1001/ns/net")
    async with running(nodes) as enforcer:
        await nodes.next_load()
        await nodes.next_load()
        namespace.unlink()
        namespace.symlink_to("/proc/2002/ns/net")
        enforcer.note_change({}, {})
        assert await nodes.next_load() == ("node2", "b\n")
        assert nodes.loads.empty()
