"""An MCP server whose sessions have state, to see whether a session goes on.

Every session counts for itself, in this process only: whoever calls `count` in one session and
gets 1, 2, 3 … was led to the same session of the same server each time.
"""

import os
import socket
from collections import Counter

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

SESSION_HEADER = "mcp-session-id"
# Open event streams would hold a pod back for its whole termination grace period.
SHUTDOWN_SECONDS = 2


def build_server() -> MCPServer[None]:
    """Return the server with its tools and no sessions yet."""
    server = MCPServer[None]("mcp-demo", instructions="Counts per session, to prove that sessions go on.")
    counts: Counter[str] = Counter()

    @server.tool()
    def count(context: Context[None]) -> int:
        """Add one to this session's counter and return it."""
        session = (context.headers or {}).get(SESSION_HEADER)
        if session is None:
            raise ToolError("Only a request within a session can count.")
        counts[session] += 1
        return counts[session]

    @server.tool()
    def hostname() -> str:
        """Return the name of the pod that answers."""
        return socket.gethostname()

    return server


def main() -> None:
    """Serve on the port that ToolHive sets; outside a container only this machine is served.

    An empty LISTEN_HOST means every address of both IP families.
    """
    host = os.environ.get("LISTEN_HOST", "127.0.0.1")
    port = int(os.environ.get("MCP_PORT", "8080"))
    app = build_server().streamable_http_app(host=host)
    uvicorn.run(app, host=host, port=port, timeout_graceful_shutdown=SHUTDOWN_SECONDS)


if __name__ == "__main__":
    main()
