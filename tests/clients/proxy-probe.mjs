// Asks through a proxy what clients ask, and what proxies like to answer themselves.
//
//   node proxy-probe.mjs --issuer https://HOST --user U --password P
//
// Prints {metadata, challenge, large_body, long_url, unknown, registered, long_state}: status, content type and what else matters of each
// answer, and the state that came back to the client. The registration claims to come from 203.0.113.7, so that a test can look for whom grantd took it.

import { Person } from './person.mjs';
import { parse, run } from './program.mjs';

const { options } = parse({ issuer: 'text', user: 'text', password: 'text' });

async function ask(path, init = {}) {
    const response = await fetch(`${options.issuer}${path}`, { redirect: 'manual', ...init });
    const text = await response.text();
    return {
        status: response.status,
        type: response.headers.get('content-type'),
        challenge: response.headers.get('www-authenticate'),
        encoding: response.headers.get('content-encoding'),
        text: text.slice(0, 2000),
    };
}

const json = (body, headers = {}) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify(body),
});

await run(async () => {
    const metadata = { redirect_uris: ['http://localhost:39998/callback'], token_endpoint_auth_method: 'none' };
    const call = (padding) => json({ jsonrpc: '2.0', id: 1, method: 'ping', params: { padding } });
    const registered = await ask('/oauth/register', json(metadata, { 'x-forwarded-for': '203.0.113.7' }));
    const query = new URLSearchParams({
        response_type: 'code',
        client_id: JSON.parse(registered.text).client_id,
        redirect_uri: metadata.redirect_uris[0],
        code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
        code_challenge_method: 'S256',
        // Some clients keep what they were doing in their state.
        state: 's'.repeat(8000),
    });
    const person = new Person({ username: options.user, password: options.password });
    const callback = await person.authorize(`${options.issuer}/oauth/authorize?${query}`);
    return {
        registered,
        long_state: new URL(callback).searchParams.get('state')?.length,
        metadata: await ask('/.well-known/oauth-protected-resource/mcp'),
        challenge: await ask('/mcp', call('')),
        // Below gate.max_body, so it is grantd that answers, and it wants a token first.
        large_body: await ask('/mcp', call('a'.repeat(3 << 20))),
        long_url: await ask(`/oauth/authorize?${query}`),
        unknown: await ask('/.well-known/openid-federation'),
    };
});
