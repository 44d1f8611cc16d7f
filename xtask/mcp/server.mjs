// An MCP server of the official TypeScript SDK, by stdio or, with a port, by streamable HTTP.
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
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
  // Tells how far it is, takes its time, and notes down that nobody waits for it any more.
  server.registerTool("slow", { description: "Slow", inputSchema: { note: z.string() }, annotations: read },
    async ({ note }, { signal, _meta, sendNotification }) => {
      const progressToken = _meta?.progressToken;
      await sendNotification({ method: "notifications/progress", params: { progressToken, progress: 1, total: 2 } });
      await new Promise((_, reject) => {
        const timer = setTimeout(reject, 60_000);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          writeFileSync(note, "cancelled");
          reject(new Error("cancelled"));
        });
      });
    });
  const text = { word: z.string() };
  const said = async ({ word }) => ({ content: [{ type: "text", text: word }], structuredContent: { word } });
  const put = { description: "Doing it again changes nothing further", inputSchema: text, outputSchema: text };
  server.registerTool("put", { ...put, annotations: { idempotentHint: true, destructiveHint: false } }, said);
  server.registerTool("append", { description: "Adds something, each time", inputSchema: text, annotations: { destructiveHint: false } }, said);
  server.registerTool("remove", { description: "Removes something", inputSchema: text }, said);
  return server;
}

const port = process.argv[2];
if (port) {
  // By session: what is cancelled is a call of the session that says so.
  const sessions = new Map();
  const begun = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await made().connect(transport);
    return transport;
  };
  createServer(async (request, response) => {
    if (request.headers.authorization !== "Bearer t0ken") return response.writeHead(401).end();
    const transport = sessions.get(request.headers["mcp-session-id"]) ?? (await begun());
    await transport.handleRequest(request, response);
  }).listen(Number(port), "127.0.0.1");
} else {
  await made().connect(new StdioServerTransport());
}
