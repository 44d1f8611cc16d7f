"""An MCP server of the official Python SDK, by stdio or, with a port, by streamable HTTP."""

import asyncio
import os
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult, ToolAnnotations

server = MCPServer("py")
READS = ToolAnnotations(readOnlyHint=True)


@server.tool(annotations=READS)
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool(annotations=READS)
def fails(why: str) -> str:
    """Fails, and says why."""
    raise ValueError(why)


@server.tool(annotations=READS)
def variables() -> list[str]:
    """The names of the variables this program was given."""
    return sorted(os.environ)


@server.tool(annotations=READS)
async def slow(seconds: float, ctx: Context) -> str:
    """Tells how far it is, and takes its time."""
    await ctx.report_progress(1, 2)
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def book(ctx: Context) -> str | InputRequiredResult:
    """Asks for the seat before it books, as the newest protocol asks."""
    answer = (ctx.input_responses or {}).get("seat")
    if answer is not None:
        return f"{ctx.request_state}: {answer.action} {(answer.content or {}).get('seat')}"
    form = {"type": "object", "properties": {"seat": {"type": "string"}}, "required": ["seat"]}
    asks = ElicitRequestFormParams(message="Which seat?", requested_schema=form)
    return InputRequiredResult(input_requests={"seat": ElicitRequest(params=asks)}, request_state="asked")


@server.tool()
def remove(path: str) -> str:
    """Removes a file, or says so."""
    return f"removed {path}"


if len(sys.argv) > 1:
    server.run(transport="streamable-http", port=int(sys.argv[1]))
else:
    server.run()
