// Drives the real mcp-remote (the bridge that stdio-only clients use) through a whole session.
//
//   node mcp-remote.mjs --url URL --user U --password P [--tool NAME] [--args JSON] [--state DIR]
//                       [--client-metadata-url URL] [--expire-access]
//
// It starts mcp-remote's proxy with a `$BROWSER` that is person.mjs, speaks MCP to it on standard input, lists the
// tools and calls one. Prints {version, client_id, tools, result, authorizations, refreshes}. With --state, tokens are
// kept in DIR, so that a second run needs no person; --expire-access makes the stored one look expired and spoils it.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Opener } from './opener.mjs';
import { parse, run, versionOf } from './program.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const WAIT_MS = 60_000;
const SPOILT = 'no-longer-valid';

/** The file below `directory` whose name ends so, parsed, with its path; undefined if there is none. */
function stored(directory, ending) {
    const name = readdirSync(directory, { recursive: true }).find((file) => file.endsWith(ending));
    if (name === undefined) return undefined;
    const path = join(directory, name);
    return { path, value: JSON.parse(readFileSync(path, 'utf8')) };
}

/** Whether nobody listens there. */
const isFree = (port) =>
    new Promise((resolve) => {
        const server = createServer();
        server.once('error', () => resolve(false));
        server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });

/**
 * Where the browser is sent back to: the same place for as long as the directory is kept, as it is registered. By itself
 * mcp-remote takes a port that belongs to the URL, among those that the system gives to outgoing connections.
 */
async function callbackPort(directory) {
    const file = join(directory, 'callback-port');
    if (existsSync(file)) return readFileSync(file, 'utf8');
    for (;;) {
        const port = 4000 + Math.floor(Math.random() * 6000);
        if (await isFree(port)) {
            writeFileSync(file, `${port}`);
            return `${port}`;
        }
    }
}

function expire(directory) {
    const tokens = stored(directory, '_tokens.json');
    if (tokens === undefined) throw new Error('there is no stored token to expire');
    const expired = { ...tokens.value, access_token: SPOILT, expires_at: Date.now() - 60_000 };
    writeFileSync(tokens.path, JSON.stringify(expired));
}

await run(async () => {
    const { options } = parse({
        url: 'text', user: 'text', password: 'text', tool: 'text', args: 'text', state: 'text',
        'client-metadata-url': 'text', 'expire-access': 'flag',
    });
    const scratch = mkdtempSync(join(tmpdir(), 'grantd-mcp-remote-'));
    const configDir = options.state ?? join(scratch, 'config');
    mkdirSync(configDir, { recursive: true });
    if (options['expire-access']) expire(configDir);
    const before = stored(configDir, '_tokens.json')?.value.access_token;
    const opener = new Opener(scratch, options);
    const metadata = options['client-metadata-url'] ? ['--client-metadata-url', options['client-metadata-url']] : [];
    const program = here('node_modules/mcp-remote/dist/proxy.js');
    const port = await callbackPort(configDir);
    const proxy = spawn(process.execPath, [program, options.url, port, '--transport', 'http-only', ...metadata], {
        env: { ...process.env, ...opener.env, MCP_REMOTE_CONFIG_DIR: configDir },
        stdio: ['pipe', 'pipe', 'pipe'],
    });
    let log = '';
    proxy.stderr.on('data', (chunk) => (log += chunk));
    const gone = new Promise((resolve) => proxy.once('exit', resolve));

    const waiting = new Map();
    createInterface({ input: proxy.stdout }).on('line', (line) => {
        const message = JSON.parse(line);
        waiting.get(message.id)?.(message);
    });
    const ended = new Promise((_, reject) => {
        const fail = (what) => reject(new Error([`mcp-remote ${what}`, ...opener.deadEnds, log.slice(-800)].join(': ')));
        proxy.on('exit', (code) => fail(`exited ${code}`));
        setTimeout(() => fail('did not answer'), WAIT_MS);
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
        const { access_token: after } = stored(configDir, '_tokens.json').value;
        return {
            version: versionOf('mcp-remote'),
            client_id: stored(configDir, '_client_info.json')?.value.client_id,
            tools: tools.map((tool) => tool.name),
            result,
            authorizations: opener.authorizations,
            refreshes: opener.authorizations === 0 && before !== after ? 1 : 0,
        };
    } finally {
        // The next one wants the same port and the same lock: this one must be gone by then.
        proxy.kill();
        const impatience = setTimeout(() => proxy.kill('SIGKILL'), 5_000);
        await gone;
        clearTimeout(impatience);
        rmSync(scratch, { recursive: true, force: true });
    }
});
