// Drives the official TypeScript client through a whole session: @modelcontextprotocol/client 2.x, or with --v1 that of
// @modelcontextprotocol/sdk 1.x, which most products are built on.
//
//   node typescript.mjs --url URL [--user U --password P] [--tool NAME] [--args JSON] [--state F]
//                       [--client-metadata-url URL] [--expire-access] [--expire-midway] [--listen]
//                       [--negotiate auto|legacy] [--no-auth] [--v1]
//
// The client discovers, registers, authorizes (the person of person.mjs is its browser), fetches its tokens,
// lists the tools and calls one. Prints
//   {version, client_id, tokens, tools, result, progress, notifications, protocol_version, session_id, sign_ins,
//    authorizations, registrations, code_grants, refreshes}
// where `authorizations` counts how often the person was sent to authorize, and the counts after it the requests
// the client really made.
//
//   --client-metadata-url URL   the client's id, where the server takes metadata documents
//   --state F         keeps tokens and registration in F, so that a second run starts where the first one ended
//   --expire-access   spoils the stored access token first, so that the client has to refresh it
//   --expire-midway   spoils it after the call, and calls again
//   --listen          waits for the standalone GET stream before the call, and for a notification after it
//   --negotiate auto  probes with `server/discover` first, as the newest clients do (default: legacy)
//   --no-auth         no OAuth at all: for talking to an upstream directly

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import { Person } from './person.mjs';
import { parse, run, versionOf } from './program.mjs';

const V1 = process.argv.includes('--v1');
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = V1
    ? {
          ...(await import('@modelcontextprotocol/sdk/client/index.js')),
          ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
          ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }
    : await import('@modelcontextprotocol/client');
// 1.x names a notification by its schema, and is given the code alone.
const MESSAGE = V1
    ? (await import('@modelcontextprotocol/sdk/types.js')).LoggingMessageNotificationSchema
    : 'notifications/message';
const finish = (transport, params) => transport.finishAuth(V1 ? params.get('code') : params);

// Nothing listens here: the person does not follow the last redirect.
const REDIRECT_URI = 'http://localhost:39999/callback';
const WAIT_MS = 5_000;
const SPOILT = 'no-longer-valid';

/** Keeps what the client wants kept, and is its browser. */
class Provider {
    authorizations = 0;
    redirectUrl = REDIRECT_URI;
    clientMetadata = {
        client_name: 'TypeScript test client',
        redirect_uris: [REDIRECT_URI],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
    };

    constructor(person, stateFile, clientMetadataUrl) {
        this.person = person;
        this.clientMetadataUrl = clientMetadataUrl;
        this.stateFile = stateFile;
        this.kept = stateFile && existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, 'utf8')) : {};
    }

    #keep(name, value) {
        this.kept[name] = value;
        if (this.stateFile) writeFileSync(this.stateFile, JSON.stringify(this.kept), { mode: 0o600 });
    }

    state() {
        this.expectedState = randomBytes(16).toString('base64url');
        return this.expectedState;
    }

    clientInformation = () => this.kept.client;
    saveClientInformation = (client) => this.#keep('client', client);
    tokens = () => this.kept.tokens;
    saveTokens = (tokens) => this.#keep('tokens', tokens);
    codeVerifier = () => this.verifier;
    saveCodeVerifier = (verifier) => (this.verifier = verifier);
    discoveryState = () => this.discovery;
    saveDiscoveryState = (discovery) => (this.discovery = discovery);

    invalidateCredentials(scope) {
        if (scope === 'all' || scope === 'client') this.#keep('client', undefined);
        if (scope === 'all' || scope === 'tokens') this.#keep('tokens', undefined);
        if (scope === 'all' || scope === 'discovery') this.discovery = undefined;
    }

    spoilAccessToken() {
        if (!this.kept.tokens) throw new Error('there is no access token to spoil');
        this.#keep('tokens', { ...this.kept.tokens, access_token: SPOILT });
    }

    async redirectToAuthorization(url) {
        this.authorizations += 1;
        this.callback = new URL(await this.person.authorize(url));
    }

    /** The parameters that the person brought back, once. */
    takeCallback() {
        const params = this.callback?.searchParams;
        this.callback = undefined;
        if (params === undefined) throw new Error('the client is unauthorized, and sent nobody to authorize');
        if (params.get('state') !== this.expectedState) throw new Error('the state came back changed');
        return params;
    }
}

/** A fetch that counts the requests of interest, and tells when the standalone stream is open. */
function countingFetch() {
    const counts = { registrations: 0, code_grants: 0, refreshes: 0 };
    let opened;
    const streamOpen = new Promise((resolve) => (opened = resolve));
    const fetchCounting = async (url, init) => {
        const method = init?.method ?? 'GET';
        const body = String(init?.body ?? '');
        if (method === 'POST' && /(^|&)grant_type=authorization_code(&|$)/.test(body)) counts.code_grants += 1;
        if (method === 'POST' && /(^|&)grant_type=refresh_token(&|$)/.test(body)) counts.refreshes += 1;
        if (method === 'POST' && body.includes('"redirect_uris"')) counts.registrations += 1;
        const response = await fetch(url, init);
        if (method === 'GET' && response.headers.get('content-type')?.startsWith('text/event-stream')) opened();
        return response;
    };
    return { counts, streamOpen, fetch: fetchCounting };
}

const within = (promise, what) => {
    const timeout = new Promise((_, reject) => setTimeout(() => reject(new Error(`waited too long for ${what}`)), WAIT_MS));
    return Promise.race([promise, timeout]);
};

await run(async () => {
    const { options } = parse({
        url: 'text', user: 'text', password: 'text', tool: 'text', args: 'text', state: 'text', negotiate: 'text', 'client-metadata-url': 'text',
        'expire-access': 'flag', 'expire-midway': 'flag', listen: 'flag', 'no-auth': 'flag', v1: 'flag',
    });
    const person = new Person({ username: options.user, password: options.password });
    const provider = options['no-auth'] ? undefined : new Provider(person, options.state, options['client-metadata-url']);
    const counting = countingFetch();
    const progress = [];
    const notifications = [];
    let notified;
    const notification = new Promise((resolve) => (notified = resolve));
    if (options['expire-access']) provider.spoilAccessToken();

    const connect = async () => {
        const transport = new StreamableHTTPClientTransport(new URL(options.url), { authProvider: provider, fetch: counting.fetch });
        const client = new Client(
            { name: 'typescript-test-client', version: '1.0.0' },
            { versionNegotiation: { mode: options.negotiate ?? 'legacy' } },
        );
        client.setNotificationHandler(MESSAGE, (message) => {
            notifications.push(message.params.data);
            notified();
        });
        try {
            await client.connect(transport);
        } catch (error) {
            if (!(error instanceof UnauthorizedError)) throw error;
            await finish(transport, provider.takeCallback());
            return undefined;
        }
        return { client, transport };
    };
    // A client that had to authorize starts over with its new token.
    const { client, transport } = (await connect()) ?? (await connect()) ?? {};
    if (client === undefined) throw new Error('still unauthorized after authorizing');

    const call = async () => {
        const request = { name: options.tool, arguments: JSON.parse(options.args ?? '{}') };
        const attempt = () => client.callTool(request, ...(V1 ? [undefined] : []), { onprogress: (update) => progress.push(update.progress) });
        try {
            return await attempt();
        } catch (error) {
            // A step-up: the tool wants more scope than the token has.
            if (!(error instanceof UnauthorizedError)) throw error;
            await finish(transport, provider.takeCallback());
            return await attempt();
        }
    };

    const { tools } = await client.listTools();
    if (options.listen) await within(counting.streamOpen, 'the standalone stream');
    let result = options.tool ? await call() : undefined;
    if (options['expire-midway']) {
        provider.spoilAccessToken();
        result = await call();
    }
    if (options.listen) await within(notification, 'a notification');
    const output = {
        version: versionOf(V1 ? '@modelcontextprotocol/sdk' : '@modelcontextprotocol/client'),
        client_id: provider?.kept.client?.client_id,
        tokens: provider?.kept.tokens,
        tools: tools.map((tool) => tool.name),
        result,
        progress,
        notifications,
        protocol_version: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion,
        session_id: transport.sessionId,
        sign_ins: person.signIns,
        authorizations: provider?.authorizations ?? 0,
        ...counting.counts,
    };
    if (transport.sessionId) await transport.terminateSession();
    await client.close();
    return output;
});
