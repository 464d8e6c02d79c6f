// A real browser (Debian's Chromium) in front of the sign-in and consent pages.
//
//   node browser.mjs SCENARIO --authorize-url URL --user U --password P [--out DIR] [--callback-port N]
//
// It listens on the loopback callback of the authorization URL's `redirect_uri` (or on port N) as the client would,
// and counts what arrives there. Scenarios:
//   approve         signs in, clicks Authorize: the callback gets a code
//   deny            signs in, clicks Deny: the callback gets error=access_denied
//   double-click    signs in, double-clicks Authorize: still one code, and the browser ends at the client
//   wrong-password  a wrong password gives 403 and an alert, and the form again; then the right one leads on
//   screenshots     sign-in, wrong password and consent as <page>-<look>.png in DIR, in light, in dark, as wide as a
//                   phone and without JavaScript; checks each page's basic accessibility, that the keyboard alone is
//                   enough, and that the whole flow works without JavaScript
// Prints {scenario, callbacks, failures, pages}: the queries that arrived at the callback, what did not hold, and
// what was seen of each page. It exits 0 only if `failures` is empty.

import { mkdirSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { CHROMIUM, parse, run } from './program.mjs';

// Without these Chromium looks for hosts of its maker's at every start.
const ARGUMENTS = [
    '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
];
const TIMEOUT_MS = 10_000;
// How long to watch for a second callback after the first.
const SETTLE_MS = 500;
const TABS_AT_MOST = 30;
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const LOOKS = {
    light: { ...DESKTOP, colorScheme: 'light' },
    dark: { ...DESKTOP, colorScheme: 'dark' },
    phone: { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
    'no-javascript': { ...DESKTOP, javaScriptEnabled: false },
};

/** The client's side: a listener on its callback that keeps the queries it is sent. */
async function listenForCallback(authorizeUrl, port) {
    const redirect = new URL(new URL(authorizeUrl).searchParams.get('redirect_uri'));
    const queries = [];
    const server = http.createServer((request, response) => {
        const url = new URL(request.url, redirect);
        // The browser also asks for an icon.
        if (url.pathname !== redirect.pathname) return response.writeHead(404).end();
        queries.push(Object.fromEntries(url.searchParams));
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end('<!doctype html><html lang="en"><title>Client</title><p id="client">The client has it from here.</p></html>');
    });
    await new Promise((resolve, reject) => {
        server.on('error', reject);
        server.listen(Number(port ?? redirect.port), redirect.hostname.replace(/^\[|\]$/g, ''), resolve);
    });
    return queries;
}

/** What every page must have, looked at inside the page. */
function inspect() {
    const shown = [...document.querySelectorAll('input, select, textarea')].filter((input) => input.type !== 'hidden');
    const labelled = (input) => input.labels?.length > 0 || input.ariaLabel || input.getAttribute('aria-labelledby');
    const { color, backgroundColor } = getComputedStyle(document.body);
    return {
        title: document.title,
        lang: document.documentElement.lang,
        h1: [...document.querySelectorAll('h1')].map((heading) => heading.textContent.trim()),
        unlabelled: shown.filter((input) => !labelled(input)).map((input) => input.name),
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        colours: `${color} on ${backgroundColor}`,
    };
}

await run(async () => {
    const { options, rest } = parse({
        'authorize-url': 'text', user: 'text', password: 'text', out: 'text', 'callback-port': 'text',
    });
    const [scenario] = rest;
    const authorizeUrl = options['authorize-url'];
    const callbacks = await listenForCallback(authorizeUrl, options['callback-port']);
    const failures = [];
    const pages = {};
    const expect = (holds, what) => {
        if (!holds) failures.push(what);
    };
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });

    const open = async (look = LOOKS.light) => {
        const context = await browser.newContext(look);
        context.setDefaultTimeout(TIMEOUT_MS);
        const page = await context.newPage();
        page.on('console', (message) => expect(!/Content Security Policy/i.test(message.text()), `the page breaks its own policy: ${message.text()}`));
        page.on('pageerror', (error) => expect(false, `script error: ${error.message}`));
        await page.goto(authorizeUrl);
        return page;
    };
    const signIn = async (page, password = options.password) => {
        await page.fill('input[name=username]', options.user);
        await page.fill('input[name=password]', password);
        const [response] = await Promise.all([page.waitForNavigation(), page.click('button[type=submit], input[type=submit]')]);
        return response.status();
    };
    const atTheClient = async (page) => {
        await page.waitForSelector('#client');
        await page.waitForTimeout(SETTLE_MS);
    };
    /** Checks the page that is shown, and takes its picture if there is a look to name it after. */
    const look = async (page, name) => {
        const seen = await page.evaluate(inspect);
        pages[name] = seen;
        expect(seen.title !== '', `${name}: the page has no title`);
        expect(seen.lang !== '', `${name}: the page names no language`);
        expect(seen.h1.length === 1, `${name}: the page has ${seen.h1.length} h1 headings`);
        expect(seen.unlabelled.length === 0, `${name}: without a label: ${seen.unlabelled.join(', ')}`);
        expect(seen.overflow <= 0, `${name}: the page is ${seen.overflow} px too wide`);
        if (options.out) await page.screenshot({ path: join(options.out, `${name}.png`), fullPage: true });
    };
    const alertIsShown = async (page, name) => {
        const alert = page.locator('[role=alert]');
        expect((await alert.count()) === 1 && (await alert.innerText()).trim() !== '', `${name}: no alert says what went wrong`);
    };
    /** Presses Tab, if need be, until the focus is on what `selector` names, which must show that it has it. */
    const tabTo = async (page, selector) => {
        for (let tabs = 0; tabs < TABS_AT_MOST; tabs++) {
            const focused = await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector);
            if (!focused) {
                await page.keyboard.press('Tab');
                continue;
            }
            const style = await page.evaluate(() => {
                const { outlineStyle, boxShadow } = getComputedStyle(document.activeElement);
                return { outlineStyle, boxShadow };
            });
            expect(style.outlineStyle !== 'none' || style.boxShadow !== 'none', `${selector} does not show that it has the focus`);
            return;
        }
        throw new Error(`the Tab key does not reach ${selector}`);
    };

    const scenarios = {
        async approve() {
            const page = await open();
            expect((await signIn(page)) === 200, 'signing in did not lead to the consent page');
            await page.click('#approve');
            await atTheClient(page);
            expect(callbacks.length === 1 && callbacks[0].code, 'the callback did not get exactly one code');
        },

        async deny() {
            const page = await open();
            await signIn(page);
            await page.click('#deny');
            await atTheClient(page);
            expect(callbacks.length === 1 && callbacks[0].error === 'access_denied', 'the callback was not told access_denied');
            expect(callbacks[0].code === undefined, 'a denied client got a code');
        },

        async 'double-click'() {
            const page = await open();
            await signIn(page);
            await page.dblclick('#approve');
            await atTheClient(page);
            const codes = new Set(callbacks.map((query) => query.code));
            expect(codes.size === 1 && !codes.has(undefined), 'the callback did not get one and the same code');
        },

        async 'wrong-password'() {
            const page = await open();
            const status = await signIn(page, `not-${options.password}`);
            expect(status === 403, `a wrong password was answered with ${status}`);
            await alertIsShown(page, 'wrong password');
            expect((await signIn(page)) === 200, 'the right password after a wrong one did not lead on');
            await page.waitForSelector('#approve');
            expect(callbacks.length === 0, 'the callback was called without consent');
        },

        async screenshots() {
            if (!options.out) throw new Error('--out is missing');
            mkdirSync(options.out, { recursive: true });
            for (const [name, settings] of Object.entries(LOOKS)) {
                const page = await open(settings);
                await look(page, `sign-in-${name}`);
                await signIn(page, `not-${options.password}`);
                await look(page, `wrong-password-${name}`);
                await alertIsShown(page, `wrong-password-${name}`);
                await signIn(page);
                await page.waitForSelector('#approve');
                await look(page, `consent-${name}`);
                if (name === 'no-javascript') {
                    await page.click('#approve');
                    await atTheClient(page);
                    expect(callbacks.at(-1)?.code, 'no code without JavaScript');
                }
                await page.context().close();
            }
            const [light, dark] = [pages['sign-in-light'].colours, pages['sign-in-dark'].colours];
            expect(light !== dark, 'the pages do not turn dark');

            callbacks.length = 0;
            const page = await open();
            await tabTo(page, 'input[name=username]');
            await page.keyboard.type(options.user);
            await tabTo(page, 'input[name=password]');
            await page.keyboard.type(options.password);
            await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
            await tabTo(page, '#approve');
            await page.keyboard.press('Enter');
            await atTheClient(page);
            expect(callbacks.length === 1 && callbacks[0].code, 'the keyboard alone did not lead to a code');
        },
    };

    try {
        if (!Object.hasOwn(scenarios, scenario)) throw new Error(`the scenarios are ${Object.keys(scenarios).join(', ')}`);
        if (!CHROMIUM) throw new Error('chromium is missing: install the package chromium');
        await scenarios[scenario]();
    } catch (error) {
        failures.push(String(error.message).split('\n')[0]);
    } finally {
        await browser.close();
    }
    const output = { scenario, callbacks, failures, pages };
    if (failures.length > 0) throw Object.assign(new Error(failures.join('; ')), { seen: output });
    return output;
});
