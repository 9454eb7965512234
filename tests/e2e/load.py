"""Runs in a pod: uses connections to a Valkey all the time, and opens new ones, with the password of its Secret.

It needs nothing but Python. It prints its results once a second, and when it gets SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

STEADY = 200
COMING = 50
RECONNECT_SECONDS = 0.1
USE_SECONDS = 0.2
SHOWN = 5


class Load:
    """Runs all clients of one pod."""

    def __init__(self, host: str, password: str) -> None:
        self._host = host
        self._password = password
        self.seen = {"logins": 0, "commands": 0, "failures": 0}
        self.said: list[str] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(STEADY):
                group.create_task(self._stay())
            for _ in range(COMING):
                group.create_task(self._come_again())
            group.create_task(self._report())

    async def _stay(self) -> None:
        reader, writer = await self._connected()
        while True:
            await self._ask(reader, writer, "SET thv:proxy:session:load x EX 60", "commands")
            await asyncio.sleep(USE_SECONDS)

    async def _come_again(self) -> None:
        while True:
            _, writer = await self._connected()
            writer.close()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._host, 6379)
        await self._ask(reader, writer, f"AUTH {self._password}", "logins")
        return reader, writer

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str, what: str) -> None:
        try:
            writer.write(f"{command}\r\n".encode())
            answer = (await reader.readline()).decode().strip()
        except OSError as error:
            answer = type(error).__name__
        if answer == "+OK":
            self.seen[what] += 1
            return
        self.seen["failures"] += 1
        self.said.append(f"{what}: {answer[:40]}")
        await asyncio.sleep(1)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.tell()

    def tell(self) -> None:
        """Print the tally as one line."""
        sys.stdout.write(json.dumps({**self.seen, "said": self.said[:SHOWN]}) + "\n")
        sys.stdout.flush()


async def main() -> None:
    load = Load(os.environ["VALKEY_HOST"], os.environ["REDIS_PASSWORD"])
    task = asyncio.ensure_future(load.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        load.tell()


if __name__ == "__main__":
    asyncio.run(main())
