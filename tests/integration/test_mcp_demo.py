import asyncio
import importlib.util
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import uvicorn

from deploy.local.paths import REPOSITORY

SOURCE = REPOSITORY / "deploy" / "local" / "mcp-demo" / "server.py"
HEADERS = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Client:
    """Speaks as much of MCP's streamable HTTP as it takes to see session identifiers."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def open_session(self) -> str:
        answer, _ = await self._post("initialize", INITIALIZE, {})
        assert answer.status == 200
        return answer.headers["Mcp-Session-Id"]

    async def call(self, session: str, tool: str) -> Any:
        answer, text = await self._post("tools/call", {"name": tool}, {"Mcp-Session-Id": session})
        if answer.status != 200:
            return answer.status
        data = next(line for line in text.splitlines() if line.startswith("data: {"))
        return json.loads(data.removeprefix("data: "))["result"]["structuredContent"]["result"]

    async def _post(
        self, method: str, params: dict[str, Any], headers: dict[str, str]
    ) -> tuple[aiohttp.ClientResponse, str]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self.http.post(self.url, json=request, headers=HEADERS | headers) as answer:
            return answer, await answer.text()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    spec = importlib.util.spec_from_file_location("mcp_demo_server", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = module.build_server().streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=0))
    # The socket listens from here on, so that a client that connects before the server is ready only waits.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with aiohttp.ClientSession() as http:
            yield Client(http, f"http://127.0.0.1:{listening.getsockname()[1]}/mcp")
        server.should_exit = True
        await serving


async def test_each_session_has_a_counter_of_its_own_that_goes_on(client: Client) -> None:
    one, other = await client.open_session(), await client.open_session()
    assert one != other
    assert [await client.call(one, "count") for _ in range(3)] == [1, 2, 3]
    assert await client.call(other, "count") == 1
    assert await client.call(one, "count") == 4


async def test_a_session_that_this_server_did_not_open_is_unknown_to_it(client: Client) -> None:
    await client.open_session()
    assert await client.call("0123456789abcdef0123456789abcdef", "count") == 404


async def test_an_answer_names_its_host(client: Client) -> None:
    assert isinstance(await client.call(await client.open_session(), "hostname"), str)
