// An MCP client that is a web page, in a real browser (Debian's Chromium), on another origin than grantd. Whatever it
// reads of an answer, the browser let it read: nothing here goes around CORS.
//
//   node web-client.mjs --url MCP_URL --user U --password P --stranger HOST
//
// The page goes the whole way: 401 and its challenge, metadata, registration, sign-in and consent, tokens, a session with
// the MCP server (its id, a streamed answer, the standing stream, its end), refresh, revocation. Then a page at
// http://HOST, which is not among the origins that may call, tries the same call with a good token.
// Prints {steps, stranger}: what each step came to.

import http from 'node:http';

import { chromium } from 'playwright-core';

import { CHROMIUM, parse, run } from './program.mjs';

const TIMEOUT_MS = 10_000;

/** Serves one empty page, at whatever name it is asked by. */
async function site() {
    const server = http.createServer((_, response) => {
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end('<!doctype html><html lang="en"><title>A web client</title><h1 id="client">A web client</h1></html>');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server.address().port;
}

/** Up to the person: runs in the page. */
async function before({ url, callback }) {
    const json = async (address, init) => (await fetch(address, init)).json();
    const first = await fetch(url, {
        method: 'POST',
        headers: {
            'content-type': 'application/json', accept: 'application/json, text/event-stream',
            'mcp-protocol-version': '2025-06-18', 'mcp-method': 'ping',
        },
        body: '{"jsonrpc":"2.0","id":0,"method":"ping"}',
    });
    const challenge = first.headers.get('www-authenticate');
    const resource = await json(/resource_metadata="([^"]+)"/.exec(challenge)[1]);
    const issuer = new URL(resource.authorization_servers[0]);
    const server = await json(new URL(`/.well-known/oauth-authorization-server${issuer.pathname.replace(/\/$/, '')}`, issuer));
    const registration = { client_name: 'A web client', redirect_uris: [callback], token_endpoint_auth_method: 'none' };
    const registered = await fetch(server.registration_endpoint, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(registration),
    });
    const client = await registered.json();
    const text = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
    const verifier = text(crypto.getRandomValues(new Uint8Array(32)));
    const challengeOf = text(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))));
    sessionStorage.setItem('flow', JSON.stringify({ server, client, verifier, resource: resource.resource }));
    const ask = new URL(server.authorization_endpoint);
    ask.search = new URLSearchParams({
        response_type: 'code', client_id: client.client_id, redirect_uri: callback, code_challenge: challengeOf,
        code_challenge_method: 'S256', state: 's', resource: resource.resource, scope: resource.scopes_supported.join(' '),
    });
    // The pages for people are for nobody else: what they say cannot be read from here.
    const page = await fetch(ask).then(() => 'read', () => 'hidden');
    const refused = await fetch(server.token_endpoint, { method: 'POST', body: new URLSearchParams({ grant_type: 'x' }) });
    return {
        unauthorized: first.status, challenge, registered: registered.status, page, authorize: ask.href,
        refused: [refused.status, (await refused.json()).error],
    };
}

/** From the callback on: runs in the page. */
async function after({ url, callback, code }) {
    const { server, client, verifier, resource } = JSON.parse(sessionStorage.getItem('flow'));
    const post = (address, form) => fetch(address, { method: 'POST', body: new URLSearchParams(form) });
    const own = { client_id: client.client_id };
    const issued = await post(server.token_endpoint, {
        ...own, grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: callback, resource,
    });
    let tokens = await issued.json();
    const headers = () => ({
        authorization: `Bearer ${tokens.access_token}`, 'content-type': 'application/json',
        accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2025-06-18',
    });
    const call = (method, body, more) => fetch(url, { method, headers: { ...headers(), ...more }, body });
    const initialize = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'web', version: '1' } };
    const initialized = await call('POST', JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize }));
    const greeting = await initialized.text();
    const session = { 'mcp-session-id': initialized.headers.get('mcp-session-id') };
    const noted = await call('POST', JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }), session);
    const asked = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'whoami', arguments: {} } });
    const answered = await call('POST', asked, { ...session, 'mcp-method': 'tools/call', 'mcp-name': 'whoami' });
    const answer = await answered.text();
    const standing = await call('GET', undefined, { ...session, 'last-event-id': '0' });
    await standing.body?.cancel();
    const ended = await call('DELETE', undefined, session);
    const refreshed = await post(server.token_endpoint, { ...own, grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
    tokens = await refreshed.json();
    const managed = await fetch(client.registration_client_uri, {
        headers: { authorization: `Bearer ${client.registration_access_token}` },
    });
    return {
        issued: issued.status, initialized: initialized.status, greeting, session: session['mcp-session-id'] !== null,
        noted: noted.status, answer, standing: standing.status, ended: ended.status, refreshed: refreshed.status,
        managed: managed.status, token: tokens.access_token,
    };
}

/** A call with a token, from wherever the page is: runs in the page. */
async function callWith({ url, token }) {
    const answer = await fetch(url, {
        method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: '{"jsonrpc":"2.0","id":3,"method":"ping"}',
    });
    return [answer.status, await answer.text()];
}

/** Takes the token back, and calls once more: runs in the page. */
async function revoke({ url, token }) {
    const { server, client } = JSON.parse(sessionStorage.getItem('flow'));
    const form = new URLSearchParams({ client_id: client.client_id, token });
    const revoked = await fetch(server.revocation_endpoint, { method: 'POST', body: form });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const again = await fetch(url, { method: 'POST', headers, body: '{}' });
    return [revoked.status, again.status, again.headers.get('www-authenticate')];
}

await run(async () => {
    const { options } = parse({ url: 'text', user: 'text', password: 'text', stranger: 'text' });
    const port = await site();
    const origin = `http://127.0.0.1:${port}`;
    const callback = `${origin}/callback`;
    const browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: [
            '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync', `--host-resolver-rules=MAP ${options.stranger} 127.0.0.1`,
        ],
    });
    const open = async (address) => {
        const page = await (await browser.newContext()).newPage();
        page.setDefaultTimeout(TIMEOUT_MS);
        await page.goto(address);
        return page;
    };
    const page = await open(origin);
    const steps = await page.evaluate(before, { url: options.url, callback });
    await page.goto(steps.authorize);
    await page.fill('input[name=username]', options.user);
    await page.fill('input[name=password]', options.password);
    await Promise.all([page.waitForNavigation(), page.click('button[type=submit], input[type=submit]')]);
    await page.click('#approve');
    await page.waitForSelector('#client');
    const code = new URL(page.url()).searchParams.get('code');
    const { token, ...rest } = await page.evaluate(after, { url: options.url, callback, code });
    const elsewhere = await open(`http://${options.stranger}:${port}`);
    const stranger = await elsewhere.evaluate(callWith, { url: options.url, token });
    const own = await page.evaluate(callWith, { url: options.url, token });
    const revoked = await page.evaluate(revoke, { url: options.url, token });
    return { steps: { ...steps, ...rest, own: own[0], revoked }, stranger };
});
