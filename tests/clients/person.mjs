// The person with a browser, without the browser: signs in at grantd and approves (or denies), with a cookie jar.
//
//   node person.mjs AUTHORIZE_URL --user U --password P [--deny] [--visit]
//
// Prints {location, sign_ins}: where the last redirect leads, which is the client's callback. It is not followed
// unless --visit is given (then `callback_status` is printed too), as command line clients need it.
//
// It goes by the pages alone: it fills in whatever form asks for a `password`, sends that form's hidden fields
// along, and follows the link with the id `approve` or `deny`. It uses node:http and not fetch, because fetch
// adds Sec-Fetch headers of its own that no navigating browser sends.

import http from 'node:http';
import https from 'node:https';
import { fileURLToPath } from 'node:url';

import { parse, run } from './program.mjs';

const STEPS_AT_MOST = 10;
const TIMEOUT_MS = 15_000;

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const unescapeHtml = (value) =>
    value.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) =>
        hex ? String.fromCodePoint(parseInt(hex, 16)) : decimal ? String.fromCodePoint(decimal) : (ENTITIES[name] ?? whole),
    );

/** The attributes of one start tag. */
function attributes(tag) {
    const found = {};
    for (const [, name, double, single, bare] of tag.matchAll(/([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/g)) {
        found[name.toLowerCase()] ??= unescapeHtml(double ?? single ?? bare ?? '');
    }
    return found;
}

const tags = (html, name) => [...html.matchAll(new RegExp(`<${name}\\b([^>]*)>`, 'gi'))].map((match) => attributes(match[1]));

/** The form that asks for a password, as {action, fields}, or undefined. */
function signInForm(html) {
    for (const [, start, body] of html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)) {
        const inputs = tags(body, 'input');
        if (!inputs.some((input) => input.name === 'password')) continue;
        const hidden = inputs.filter((input) => input.type === 'hidden').map((input) => [input.name, input.value ?? '']);
        return { action: attributes(start).action ?? '', fields: new URLSearchParams(hidden) };
    }
    return undefined;
}

/** What a page that leads nowhere says: for the error message. */
function plainText(html) {
    return html.replace(/<(style|script)[\s\S]*?<\/\1>/gi, '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim().slice(0, 300);
}

export class Person {
    #cookies = new Map();

    constructor({ username, password }) {
        this.username = username;
        this.password = password;
        this.signIns = 0;
    }

    /** One request, redirects not followed; cookies are kept. */
    request(url, { method = 'GET', form } = {}) {
        const target = new URL(url);
        const headers = { accept: 'text/html,application/xhtml+xml', 'user-agent': 'Mozilla/5.0 (person)' };
        if (this.#cookies.size > 0) headers.cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
        const body = form?.toString();
        if (body !== undefined) {
            headers['content-type'] = 'application/x-www-form-urlencoded';
            headers['content-length'] = Buffer.byteLength(body);
            headers.origin = target.origin;
        }
        const client = target.protocol === 'https:' ? https : http;
        return new Promise((resolve, reject) => {
            const outgoing = client.request(target, { method, headers, timeout: TIMEOUT_MS }, (response) => {
                for (const cookie of response.headers['set-cookie'] ?? []) this.#keep(cookie);
                let text = '';
                response.setEncoding('utf8');
                response.on('data', (chunk) => (text += chunk));
                response.on('error', reject);
                response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
            });
            outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${target.origin}${target.pathname}`)));
            outgoing.on('error', reject);
            outgoing.end(body);
        });
    }

    #keep(cookie) {
        const [pair, ...rest] = cookie.split(';');
        const [name, ...value] = pair.split('=');
        const gone = rest.some((part) => /^\s*max-age\s*=\s*(0|-\d+)\s*$/i.test(part));
        if (gone) this.#cookies.delete(name.trim());
        else this.#cookies.set(name.trim(), value.join('=').trim());
    }

    /** Goes from the authorization URL to the client's callback, and returns that URL without visiting it. */
    async authorize(authorizeUrl, decision = 'approve') {
        const { origin } = new URL(authorizeUrl);
        let url = String(authorizeUrl);
        let step = await this.request(url);
        let tried = false;
        for (let steps = 0; steps < STEPS_AT_MOST; steps++) {
            if (step.status >= 300 && step.status < 400 && step.headers.location) {
                url = new URL(step.headers.location, url).href;
                // Only the authorization server's own pages are walked: anything else is the callback.
                if (new URL(url).origin !== origin) return url;
                step = await this.request(url);
                continue;
            }
            const link = tags(step.text, 'a').find((anchor) => anchor.id === decision);
            const form = signInForm(step.text);
            if (step.status === 200 && link?.href) {
                url = new URL(link.href, url).href;
                step = await this.request(url);
            } else if (form && !tried) {
                tried = true;
                this.signIns += 1;
                form.fields.set('username', this.username);
                form.fields.set('password', this.password);
                url = form.action === '' ? url : new URL(form.action, url).href;
                step = await this.request(url, { method: 'POST', form: form.fields });
            } else {
                throw new Error(`${new URL(url).pathname} answered ${step.status} and led nowhere: ${plainText(step.text)}`);
            }
        }
        throw new Error('the authorization never came to an end');
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    await run(async () => {
        const { options, rest } = parse({ user: 'text', password: 'text', deny: 'flag', visit: 'flag' });
        const person = new Person({ username: options.user, password: options.password });
        const location = await person.authorize(rest[0], options.deny ? 'deny' : 'approve');
        const visited = options.visit ? { callback_status: (await person.request(location)).status } : {};
        return { location, sign_ins: person.signIns, ...visited };
    });
}
