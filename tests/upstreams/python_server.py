"""A real MCP server on the official Python SDK: the second upstream that grantd's gate stands in front of.

    python python_server.py [PORT] [--record]

Listens on 127.0.0.1:PORT (0, the default, takes a free port) and prints one line, {"port":N}, when ready.
The same tools and the same /__seen record as typescript-server.mjs, whose header describes them. It answers
both the session-based protocol revisions and the newest one, which has no sessions (`server/discover`).
"""

import asyncio
import json
import socket
import sys
from collections.abc import MutableMapping
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

RECORDED_AT_MOST = 1000
RETRY_MS = 100

server = MCPServer("python-upstream", log_level="WARNING")
seen: list[dict[str, Any]] = []


class Events(EventStore):
    """Keeps the events of all streams in the order sent; an event's id is its place in that order.

    The SDK gives all sessions one store and names a stream by its request's id, so only one session at a time
    may cut and resume streams here. The TypeScript server has a store for each session.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self.events.append((stream_id, message))
        return str(len(self.events) - 1)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdigit() or int(last_event_id) >= len(self.events):
            return None
        stream = self.events[int(last_event_id)][0]
        for at, (stream_id, message) in enumerate(self.events):
            if at > int(last_event_id) and stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(at)))
        return stream


@server.tool()
async def echo(text: str) -> str:
    """Returns the text it is given."""
    return text


@server.tool()
async def whoami(ctx: Context) -> str:
    """Tells who the gate says is calling."""
    headers = ctx.headers or {}
    return json.dumps(
        {
            "user": headers.get("x-forwarded-user"),
            "email": headers.get("x-forwarded-email"),
            "preferred_username": headers.get("x-forwarded-preferred-username"),
            "groups": headers.get("x-forwarded-groups"),
            "headers": sorted(headers.keys()),
        }
    )


@server.tool()
async def countdown(ctx: Context, n: int = 3, delay_ms: int = 50, drop_at: int = -1) -> str:
    """Counts down to zero, telling its progress."""
    for left in range(n, 0, -1):
        await asyncio.sleep(delay_ms / 1000)
        if left == drop_at:
            await ctx.close_sse_stream()
        await ctx.report_progress(n - left + 1, n, str(left))
    return f"counted {n}"


@server.tool()
async def publish_article(title: str) -> str:
    """Publishes an article."""
    return f"published: {title}"


def recorder(app: Any) -> Any:
    """Wraps `app` so that the headers of every request to /mcp are kept."""

    async def wrapped(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/mcp") and len(seen) < RECORDED_AT_MOST:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            seen.append({"method": scope["method"], "path": scope["path"], "headers": headers})
        await app(scope, receive, send)

    return wrapped


async def seen_route(request: Request) -> Response:
    """GET returns the record, DELETE forgets it."""
    if request.method == "DELETE":
        seen.clear()
        return Response(status_code=204)
    return JSONResponse(seen)


def main() -> None:
    arguments = sys.argv[1:]
    recording = "--record" in arguments
    port = int(next((argument for argument in arguments if not argument.startswith("--")), "0"))

    if recording:
        server.custom_route("/__seen", methods=["GET", "DELETE"])(seen_route)
    app: Any = server.streamable_http_app(event_store=Events(), retry_interval=RETRY_MS)
    if recording:
        app = recorder(app)

    # Bound before it is announced, so that a connection made at once waits instead of failing.
    listener = socket.create_server(("127.0.0.1", port))
    print(json.dumps({"port": listener.getsockname()[1]}, separators=(",", ":")), flush=True)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
