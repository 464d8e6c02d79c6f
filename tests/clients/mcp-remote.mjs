// Drives the real mcp-remote (the bridge that stdio-only clients use) through a whole session.
//
//   node mcp-remote.mjs --url URL --user U --password P [--tool NAME] [--args JSON] [--config-dir DIR]
//
// It starts mcp-remote's proxy with a `$BROWSER` that is person.mjs, speaks MCP to it on standard input, lists the
// tools and calls one. Prints {tools, result, authorizations}. With --config-dir, tokens are kept there, so that a
// second run needs no person.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { parse, run } from './program.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const WAIT_MS = 60_000;

/** A program to stand for the browser: it returns at once, and the person does the rest. It counts its calls. */
function browserIn(directory) {
    const path = join(directory, 'browser');
    const lines = [
        '#!/bin/sh',
        `echo opened >>'${directory}/opened'`,
        `('${process.execPath}' '${here('person.mjs')}' "$1" --user "$PERSON_USER" --password "$PERSON_PASSWORD" --visit >>'${directory}/person.log' 2>&1 </dev/null &)`,
    ];
    writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o755 });
    return path;
}

await run(async () => {
    const { options } = parse({ url: 'text', user: 'text', password: 'text', tool: 'text', args: 'text', 'config-dir': 'text' });
    const scratch = mkdtempSync(join(tmpdir(), 'grantd-mcp-remote-'));
    const configDir = options['config-dir'] ?? join(scratch, 'config');
    mkdirSync(configDir, { recursive: true });
    const browser = browserIn(scratch);
    const proxy = spawn(process.execPath, [here('node_modules/mcp-remote/dist/proxy.js'), options.url, '--transport', 'http-only'], {
        env: {
            ...process.env,
            BROWSER: browser,
            MCP_REMOTE_CONFIG_DIR: configDir,
            PERSON_USER: options.user,
            PERSON_PASSWORD: options.password,
        },
        stdio: ['pipe', 'pipe', 'pipe'],
    });
    let log = '';
    proxy.stderr.on('data', (chunk) => (log += chunk));

    const waiting = new Map();
    createInterface({ input: proxy.stdout }).on('line', (line) => {
        const message = JSON.parse(line);
        waiting.get(message.id)?.(message);
    });
    const ended = new Promise((_, reject) => {
        proxy.on('exit', (code) => reject(new Error(`mcp-remote exited ${code}: ${log.slice(-800)}`)));
        setTimeout(() => reject(new Error(`mcp-remote did not answer: ${log.slice(-800)}`)), WAIT_MS);
    });
    ended.catch(() => {});
    const send = (message) => proxy.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    const ask = async (id, method, params) => {
        const answer = new Promise((resolve) => waiting.set(id, resolve));
        send({ id, method, params });
        const { result, error } = await Promise.race([answer, ended]);
        if (error) throw new Error(`${method}: ${error.message}`);
        return result;
    };

    try {
        const clientInfo = { name: 'mcp-remote-test', version: '1.0.0' };
        await ask(1, 'initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo });
        send({ method: 'notifications/initialized' });
        const { tools } = await ask(2, 'tools/list', {});
        const params = { name: options.tool, arguments: JSON.parse(options.args ?? '{}') };
        const result = options.tool ? await ask(3, 'tools/call', params) : undefined;
        const opened = join(scratch, 'opened');
        const authorizations = existsSync(opened) ? readFileSync(opened, 'utf8').trim().split('\n').length : 0;
        return { tools: tools.map((tool) => tool.name), result, authorizations };
    } finally {
        proxy.removeAllListeners('exit');
        proxy.kill();
        rmSync(scratch, { recursive: true, force: true });
    }
});
