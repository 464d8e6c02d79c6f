// The official conformance suite for authorization servers, with a person who signs in and agrees.
//
//   node conformance.mjs --issuer URL --resource URL --user U --password P [--secret]
//
// It registers the suite's callback, as a public client or with a secret, runs the suite, opens the URL that the suite
// prints as a person's browser would, and reads the suite's own report.
// Prints {checks, exit}: every check with its status, and the suite's exit code.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Person } from './person.mjs';
import { parse, run } from './program.mjs';

// The suite wants a newer Node.js than some systems have.
const NODE = new URL('node_modules/node/bin/node', import.meta.url).pathname;
const SUITE = new URL('node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url).pathname;
const TIMEOUT_MS = 120_000;

const freePort = () =>
    new Promise((resolve, reject) => {
        const server = net.createServer().on('error', reject);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });

/** Every file of the suite's report that holds checks. */
function checks(folder) {
    return readdirSync(folder, { recursive: true })
        .filter((name) => String(name).endsWith('checks.json'))
        .flatMap((name) => JSON.parse(readFileSync(join(folder, String(name)), 'utf8')))
        .map(({ id, status, errorMessage }) => ({ id, status, errorMessage }));
}

await run(async () => {
    const { options } = parse({ issuer: 'text', resource: 'text', user: 'text', password: 'text', secret: 'flag' });
    const port = await freePort();
    const registration = {
        client_name: 'conformance', redirect_uris: [`http://127.0.0.1:${port}/callback`],
        token_endpoint_auth_method: options.secret ? 'client_secret_basic' : 'none',
    };
    const answer = await fetch(`${options.issuer}/oauth/register`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(registration),
    });
    const client = await answer.json();
    const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
    const args = [
        SUITE, 'authorization', '--url', options.issuer, '--client-id', client.client_id, '--resource', options.resource,
        '--port', String(port), '--output-dir', folder,
        ...(options.secret ? ['--client-secret', client.client_secret] : []),
    ];
    const suite = spawn(NODE, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
    let output = '';
    let visiting;
    const read = (chunk) => {
        output += chunk;
        const url = /^(https?:\/\/\S+\/oauth\/authorize\?\S+)\s/m.exec(output)?.[1];
        if (url && !visiting) {
            const person = new Person({ username: options.user, password: options.password });
            visiting = person.authorize(url).then((location) => person.request(location));
            visiting.catch((error) => suite.kill() && console.error(error));
        }
    };
    suite.stdout.on('data', read);
    suite.stderr.on('data', read);
    const exit = await new Promise((resolve) => suite.on('close', resolve));
    await visiting;
    const found = checks(folder);
    rmSync(folder, { recursive: true });
    console.error(output);
    return { checks: found, exit };
});
