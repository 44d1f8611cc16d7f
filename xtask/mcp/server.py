"""An MCP server of the official Python SDK, by stdio or, with a port, by streamable HTTP."""

import asyncio
import os
import pathlib
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
async def slow(note: str, ctx: Context) -> str:
    """Tells how far it is, takes its time, and notes down that nobody waits for it any more."""
    await ctx.report_progress(1, 2)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        pathlib.Path(note).write_text("cancelled")
        raise
    return "done"


@server.tool(annotations=READS)
async def noted(note: str) -> str:
    """What was noted down, once it is; waits for it for a while."""
    for _ in range(400):
        if pathlib.Path(note).exists():
            return pathlib.Path(note).read_text()
        await asyncio.sleep(0.05)
    return "nothing"


@server.tool(annotations=ToolAnnotations(idempotentHint=True, destructiveHint=False))
def put(word: str) -> str:
    """Doing it again changes nothing further."""
    return word


@server.tool(annotations=ToolAnnotations(destructiveHint=False))
def append(word: str) -> str:
    """Adds something, each time."""
    return word


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
