// A real MCP server on the official TypeScript SDK: the upstream that grantd's gate stands in front of.
//
//   node typescript-server.mjs [PORT] [--record]
//
// Listens on 127.0.0.1:PORT (0, the default, takes a free port) and prints one line, {"port":N}, when ready.
// It speaks streamable HTTP at /mcp in full: sessions (`Mcp-Session-Id`), responses streamed as SSE with
// notifications in between, the standalone GET stream, DELETE, and `Last-Event-ID` resumption from an event store.
//
// Tools (the same as python-server's):
//   echo {text}                            the text
//   whoami {}                              who the gate says is calling, and the names of all headers received
//   countdown {n, delay_ms, drop_at}       n progress notifications, then the result; at `drop_at` remaining it
//                                          cuts its own stream, so that the client must resume it
//   publish_article {title}                a result, and a log notification on the standalone GET stream
//
// With --record, GET /__seen returns every request that reached /mcp as [{method, path, headers}], so that a
// test can assert what the gate stripped and added; DELETE /__seen forgets them. It does no authorization of
// its own, by design: that is the gate's job.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

// The packages are installed beside the clients.
const require = createRequire(new URL('../clients/package.json', import.meta.url));
const express = require('express');
const { z } = require('zod');
const { McpServer } = require('@modelcontextprotocol/sdk/server/mcp.js');
const { StreamableHTTPServerTransport } = require('@modelcontextprotocol/sdk/server/streamableHttp.js');

const RECORDED_AT_MOST = 1000;
const RETRY_MS = 100;

const args = process.argv.slice(2);
const recording = args.includes('--record');
const port = Number(args.find((arg) => !arg.startsWith('--')) ?? 0);

const text = (value) => ({ content: [{ type: 'text', text: value }] });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Keeps the events of all streams in the order sent; an event's id is its place in that order. */
class EventStore {
    events = [];

    async storeEvent(streamId, message) {
        this.events.push({ streamId, message });
        return String(this.events.length - 1);
    }

    async getStreamIdForEventId(eventId) {
        return this.events[Number(eventId)]?.streamId;
    }

    async replayEventsAfter(lastEventId, { send }) {
        const streamId = await this.getStreamIdForEventId(lastEventId);
        for (const [id, event] of this.events.entries()) {
            // The event that only opens a stream carries no method and no result: it is not replayed.
            const replayed = id > Number(lastEventId) && event.streamId === streamId && Object.keys(event.message).length > 0;
            if (replayed) await send(String(id), event.message);
        }
        return streamId ?? '';
    }
}

/** One MCP server, for one session. */
function createServer() {
    const server = new McpServer(
        { name: 'typescript-upstream', version: '1.0.0' },
        { capabilities: { logging: {} } },
    );

    server.registerTool(
        'echo',
        { description: 'Returns the text it is given.', inputSchema: { text: z.string() } },
        async ({ text: said }) => text(said),
    );

    server.registerTool('whoami', { description: 'Tells who the gate says is calling.' }, async (extra) => {
        const headers = extra.requestInfo?.headers ?? {};
        return text(
            JSON.stringify({
                user: headers['x-forwarded-user'] ?? null,
                email: headers['x-forwarded-email'] ?? null,
                preferred_username: headers['x-forwarded-preferred-username'] ?? null,
                groups: headers['x-forwarded-groups'] ?? null,
                headers: Object.keys(headers).sort(),
            }),
        );
    });

    server.registerTool(
        'countdown',
        {
            description: 'Counts down to zero, telling its progress.',
            inputSchema: {
                n: z.number().int().min(0).max(1000).default(3),
                delay_ms: z.number().int().min(0).max(60_000).default(50),
                drop_at: z.number().int().default(-1),
            },
        },
        async ({ n, delay_ms, drop_at }, extra) => {
            const progressToken = extra._meta?.progressToken;
            for (let left = n; left > 0; left--) {
                await sleep(delay_ms);
                if (left === drop_at) extra.closeSSEStream?.();
                if (progressToken === undefined) continue;
                await extra.sendNotification({
                    method: 'notifications/progress',
                    params: { progressToken, progress: n - left + 1, total: n, message: `${left}` },
                });
            }
            return text(`counted ${n}`);
        },
    );

    server.registerTool(
        'publish_article',
        { description: 'Publishes an article, and says so to whoever listens.', inputSchema: { title: z.string() } },
        async ({ title }) => {
            await server.server.notification({
                method: 'notifications/message',
                params: { level: 'info', logger: 'articles', data: `published: ${title}` },
            });
            return text(`published: ${title}`);
        },
    );

    return server;
}

const sessions = new Map();
const seen = [];
const app = express();

app.use('/mcp', (req, _res, next) => {
    if (recording && seen.length < RECORDED_AT_MOST) {
        seen.push({ method: req.method, path: req.originalUrl, headers: req.headers });
    }
    next();
});
app.use(express.json({ limit: '4mb' }));

if (recording) {
    app.get('/__seen', (_req, res) => res.json(seen));
    app.delete('/__seen', (_req, res) => {
        seen.length = 0;
        res.status(204).end();
    });
}

const refuse = (res, status, message) =>
    res.status(status).json({ jsonrpc: '2.0', error: { code: -32000, message }, id: null });

app.all('/mcp', async (req, res) => {
    const id = req.get('mcp-session-id');
    if (id !== undefined && !sessions.has(id)) return refuse(res, 404, 'Session not found');

    let transport = sessions.get(id);
    if (transport === undefined) {
        if (req.method !== 'POST' || req.body?.method !== 'initialize') return refuse(res, 400, 'No session');
        transport = new StreamableHTTPServerTransport({
            sessionIdGenerator: randomUUID,
            eventStore: new EventStore(),
            retryInterval: RETRY_MS,
            onsessioninitialized: (sessionId) => sessions.set(sessionId, transport),
            onsessionclosed: (sessionId) => sessions.delete(sessionId),
        });
        await createServer().connect(transport);
    }
    await transport.handleRequest(req, res, req.body);
});

const listener = app.listen(port, '127.0.0.1', (error) => {
    if (error) throw error;
    console.log(JSON.stringify({ port: listener.address().port }));
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
