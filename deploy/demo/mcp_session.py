"""MCP sessions of the official client that outlive connections: opened at one address, continued at another.

The protocol allows it (MCP 2025-11-25, "Session Management"): whoever sends the `Mcp-Session-Id` is in the session.
The client supports it: a header, and `ClientSession.adopt` in place of a second handshake.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

import httpx2
from mcp import ClientSession, MCPError
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client
from mcp.types import TextContent

from deploy.demo.errors import SessionLost, Surprise

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping

    from mcp.types import InitializeResult

T = TypeVar("T")

ANSWER_SECONDS: Final = 30
"""A proxy gives its store up to 5 s for each of three look-ups; a call that takes longer has failed."""


@dataclass(frozen=True)
class McpSession:
    """A session as its client knows it.

    Attributes:
        id: Its `Mcp-Session-Id`.
        agreed: What client and server negotiated when they opened it.
    """

    id: str
    agreed: InitializeResult


def opened(url: str, tool: str) -> tuple[McpSession, str]:
    """Open a session and call a tool in it; return it with what the tool said."""
    return _run(_opened(url, tool))


def continued(url: str, session: McpSession, tool: str) -> str:
    """Call a tool in a session that exists, through a connection of its own, and return what it said."""
    return _run(_continued(url, session, tool))


def _run(conversation: Coroutine[None, None, T]) -> T:
    """Run one conversation, and turn the libraries' errors into SessionLost."""
    try:
        return asyncio.run(conversation)
    except* (MCPError, httpx2.HTTPError) as errors:
        raise SessionLost("; ".join(_messages(errors))) from errors


def _messages(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _messages(each)
    else:
        yield f"{type(error).__name__}: {error}"


async def _opened(url: str, tool: str) -> tuple[McpSession, str]:
    ids: list[str] = []

    async def remember(response: httpx2.Response) -> None:
        ids.extend(response.headers.get_list(MCP_SESSION_ID))

    async with _connected(url, {}, remember) as client:
        agreed = await client.initialize()
        said = await _call(client, tool)
    if len(set(ids)) != 1:
        raise Surprise(f"the server named {len(set(ids))} session ids while one session was opened")
    return McpSession(ids[0], agreed), said


async def _continued(url: str, session: McpSession, tool: str) -> str:
    async with _connected(url, {MCP_SESSION_ID: session.id}) as client:
        client.adopt(session.agreed)
        return await _call(client, tool)


async def _call(client: ClientSession, tool: str) -> str:
    result = await client.call_tool(tool)
    match result.content:
        case [TextContent(text=text)] if not result.is_error:
            return text
    raise Surprise(f"the tool {tool} answered {result.content}")


@cache
def _trust() -> ssl.SSLContext:
    """Load the authorities that clients trust, which takes two thirds of the processor time of a conversation."""
    return httpx2.create_ssl_context()


@asynccontextmanager
async def _connected(
    url: str, headers: Mapping[str, str], on_response: Callable[[httpx2.Response], Awaitable[None]] | None = None
) -> AsyncIterator[ClientSession]:
    hooks = {"response": [on_response]} if on_response else {}
    async with (
        httpx2.AsyncClient(headers=headers, event_hooks=hooks, timeout=ANSWER_SECONDS, verify=_trust()) as http,
        streamable_http_client(url, http_client=http, terminate_on_close=False) as (read, write),
        ClientSession(read, write, read_timeout_seconds=ANSWER_SECONDS) as client,
    ):
        yield client
