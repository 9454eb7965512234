"""Calls the API server directly where starting kubectl would take longer than what a test measures."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx2

from deploy.demo.kube import Kube, Object

PATIENCE_SECONDS: Final = 30
PLURALS: Final = {"MCPServer": "mcpservers", "SessionStorage": "sessionstorages"}


@dataclass(frozen=True)
class Answer:
    """The result of one request.

    Attributes:
        seconds: Time from the request to the end of the answer.
        body: The object, or the Status with the reason of a refusal.
        failure: Why the request failed; empty if it succeeded.
    """

    seconds: float
    body: Object = field(repr=False)
    failure: str = ""


def path(obj: Object) -> str:
    return f"/apis/{obj['apiVersion']}/namespaces/{obj['metadata']['namespace']}/{PLURALS[obj['kind']]}"


async def create(client: httpx2.AsyncClient, obj: Object, *, is_trial: bool) -> Answer:
    """Create an object, or only try it in a dry run."""
    begun = time.monotonic()
    try:
        response = await client.post(path(obj), json=obj, params={"dryRun": "All"} if is_trial else {})
        body = response.json()
    except (httpx2.HTTPError, ValueError) as error:
        return Answer(time.monotonic() - begun, {}, repr(error))
    failure = "" if response.is_success else f"{response.status_code}: {body.get('message')}"
    return Answer(time.monotonic() - begun, body, failure)


def create_each(kube: Kube, objects: list[Object]) -> list[Answer]:
    """Create one object after the other."""

    async def run(url: str) -> list[Answer]:
        async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client:
            return [await create(client, obj, is_trial=False) for obj in objects]

    with kube.served() as url:
        return asyncio.run(run(url))


@contextmanager
def load(kube: Kube, obj: Object, per_second: float) -> Iterator[list[Answer]]:
    """Try at a steady pace to create an object in a dry run, until the block ends.

    Requests do not wait for earlier answers. The list is complete when the block has ended.
    """
    answers: list[Answer] = []
    ended = threading.Event()

    async def run(url: str) -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client, asyncio.TaskGroup() as tasks:
            begun, asked = time.monotonic(), 0
            while not ended.is_set():
                tasks.create_task(ask(client))
                asked += 1
                await asyncio.sleep(max(0.0, begun + asked / per_second - time.monotonic()))

    async def ask(client: httpx2.AsyncClient) -> None:
        answers.append(await create(client, obj, is_trial=True))

    with kube.served() as url:
        thread = threading.Thread(target=lambda: asyncio.run(run(url)))
        thread.start()
        try:
            yield answers
        finally:
            ended.set()
            thread.join()
