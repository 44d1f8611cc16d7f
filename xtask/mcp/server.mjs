// An MCP server of the official TypeScript SDK, by stdio or, with a port, by streamable HTTP.
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

function made() {
  const server = new McpServer({ name: "node", version: "1.0.0" });
  const read = { readOnlyHint: true };
  server.registerTool("shout", { description: "In capitals", inputSchema: { text: z.string() }, annotations: read },
    async ({ text }) => ({ content: [{ type: "text", text: text.toUpperCase() }] }));
  server.registerTool("picture", { description: "A picture and where there are more", annotations: read },
    async () => ({ content: [
      { type: "text", text: "here" },
      { type: "image", data: "AP8=", mimeType: "image/png" },
      { type: "resource_link", uri: "file:///more", name: "more", mimeType: "text/plain" },
    ] }));
  server.registerTool("token", { description: "Whether it has a token", annotations: read },
    async () => ({ content: [{ type: "text", text: process.env.TOKEN === "t0ken" ? "yes" : "no" }] }));
  server.registerTool("book", { description: "Asks for the seat, as older protocols ask", annotations: read },
    async () => {
      const requestedSchema = { type: "object", properties: { seat: { type: "string" } }, required: ["seat"] };
      const asked = await server.server.elicitInput({ message: "Which row?", requestedSchema });
      return { isError: asked.action !== "accept", content: [{ type: "text", text: `asked: ${asked.action} ${asked.content?.seat}` }] };
    });
  return server;
}

const port = process.argv[2];
if (port) {
  createServer(async (request, response) => {
    if (request.headers.authorization !== "Bearer t0ken") return response.writeHead(401).end();
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on("close", () => transport.close());
    await made().connect(transport);
    await transport.handleRequest(request, response);
  }).listen(Number(port), "127.0.0.1");
} else {
  await made().connect(new StdioServerTransport());
}
