// A real MCP server on the official TypeScript SDK that speaks HTTP+SSE, the transport of MCP 2024-11-05: a GET of /sse opens
// a stream that tells the address for messages, `/messages?sessionId=..`, and carries the answers.
//
//   node http-sse-server.mjs [PORT]
//
// Listens on 127.0.0.1:PORT (0, the default, takes a free port) and prints one line, {"port":N}, when ready. Tools: `echo`
// and `write_article`. It does no authorization of its own, by design: that is the gate's job.

import { createRequire } from 'node:module';

// The packages are installed beside the clients.
const require = createRequire(new URL('../clients/package.json', import.meta.url));
const express = require('express');
const { z } = require('zod');
const { McpServer } = require('@modelcontextprotocol/sdk/server/mcp.js');
const { SSEServerTransport } = require('@modelcontextprotocol/sdk/server/sse.js');

const text = (value) => ({ content: [{ type: 'text', text: value }] });
const sessions = new Map();
const app = express();

app.get('/sse', async (request, response) => {
    const transport = new SSEServerTransport('/messages', response);
    sessions.set(transport.sessionId, transport);
    response.on('close', () => sessions.delete(transport.sessionId));
    const server = new McpServer({ name: 'http-sse-upstream', version: '1.0.0' });
    server.registerTool('echo', { inputSchema: { text: z.string() } }, async ({ text: said }) => text(said));
    server.registerTool('write_article', {}, async () => text('written'));
    await server.connect(transport);
});

app.post('/messages', async (request, response) => {
    const transport = sessions.get(request.query.sessionId);
    if (transport === undefined) return response.status(404).send('no such session');
    await transport.handlePostMessage(request, response);
});

const listener = app.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
    console.log(JSON.stringify({ port: listener.address().port }));
});
