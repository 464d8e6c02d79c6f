// Drives the command line of the real MCP Inspector, which needs Node.js 22 (a package brings it).
//
//   node inspector.mjs --url URL --user U --password P [--tool NAME] [--args JSON] [--state DIR]
//                      [--client-metadata-url URL] [--expire-access]
//
// It calls the tool, or lists the tools where none is named, with a `$BROWSER` that is person.mjs. Prints
// {version, client_id, result, authorizations, refreshes}. With --state, tokens are kept in DIR, so that a second run
// needs no person; --expire-access spoils the stored access token first.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Opener } from './opener.mjs';
import { parse, run, versionOf } from './program.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const PROGRAM = here('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');
const WAIT_MS = 60_000;
const SPOILT = 'no-longer-valid';

const read = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined);

/** The stored tokens, with how to write them back; undefined if there are none. */
function storedTokens(state) {
    const path = join(state, 'secrets.json');
    const everything = read(path);
    const name = Object.keys(everything?.secrets ?? {}).find((one) => one.includes(':tokens:'));
    if (name === undefined) return undefined;
    const write = (tokens) => {
        everything.secrets[name] = JSON.stringify(tokens);
        writeFileSync(path, JSON.stringify(everything));
    };
    return { value: JSON.parse(everything.secrets[name]), write };
}

function storedClient(state) {
    const [server] = Object.values(read(join(state, 'oauth.json'))?.servers ?? {});
    return server?.byIssuer[server.activeIssuer]?.clientInformation;
}

/** Where the Inspector's callback listens: its usual port is one for the whole machine. The same for each run. */
async function callbackUrl(state) {
    const path = join(state, 'callback.json');
    if (!existsSync(path)) {
        const server = createServer();
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        writeFileSync(path, JSON.stringify(`http://127.0.0.1:${server.address().port}/oauth/callback`));
        await new Promise((resolve) => server.close(resolve));
    }
    return read(path);
}

/** Runs the Inspector to its end, and gives what it printed. */
function inspect(args, env, opener) {
    const child = spawn(here('node_modules/node/bin/node'), [PROGRAM, ...args], {
        cwd: opener.directory,
        env: { ...process.env, ...opener.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: WAIT_MS,
    });
    let out = '';
    let log = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (log += chunk));
    return new Promise((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code) => {
            if (code === 0) resolve(JSON.parse(out));
            else reject(new Error([`inspector exited ${code}`, ...opener.deadEnds, log.slice(-800)].join(': ')));
        });
    });
}

await run(async () => {
    const { options } = parse({
        url: 'text', user: 'text', password: 'text', tool: 'text', args: 'text', state: 'text',
        'client-metadata-url': 'text', 'expire-access': 'flag',
    });
    const scratch = mkdtempSync(join(tmpdir(), 'grantd-inspector-'));
    const state = options.state ?? join(scratch, 'state');
    mkdirSync(state, { recursive: true });
    const opener = new Opener(scratch, options);
    if (options['expire-access']) {
        const tokens = storedTokens(state);
        if (tokens === undefined) throw new Error('there is no stored token to expire');
        tokens.write({ ...tokens.value, access_token: SPOILT });
    }
    const before = storedTokens(state)?.value.access_token;
    const method = options.tool
        ? ['--method', 'tools/call', '--tool-name', options.tool, '--tool-args-json', options.args ?? '{}']
        : ['--method', 'tools/list'];
    const metadata = options['client-metadata-url'] ? ['--client-metadata-url', options['client-metadata-url']] : [];
    const callback = ['--callback-url', await callbackUrl(state)];
    const env = {
        HOME: state,
        MCP_AUTO_OPEN_ENABLED: 'true',
        MCP_INSPECTOR_SECRET_STORE: 'file',
        MCP_STORAGE_DIR: state,
    };
    try {
        const args = ['--cli', options.url, '--transport', 'http', '--format', 'json', ...callback, ...metadata, ...method];
        const { result } = await inspect(args, env, opener);
        const after = storedTokens(state)?.value.access_token;
        return {
            version: versionOf('@modelcontextprotocol/inspector'),
            client_id: storedClient(state)?.client_id,
            result,
            authorizations: opener.authorizations,
            refreshes: opener.authorizations === 0 && before !== after ? 1 : 0,
        };
    } finally {
        rmSync(scratch, { recursive: true, force: true });
    }
});
