// What the programs of this folder share: their command line, the browser, and the one JSON document each prints at its
// end.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';

/** The machine's Chromium: the first on PATH. */
export const CHROMIUM = process.env.PATH.split(delimiter)
    .map((folder) => join(folder, 'chromium'))
    .find(existsSync);

/** Reads the command line; `kinds` names each option and whether it takes a text or is a flag. */
export function parse(kinds) {
    const options = Object.fromEntries(
        Object.entries(kinds).map(([name, kind]) => [name, { type: kind === 'flag' ? 'boolean' : 'string' }]),
    );
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    return { options: values, rest: positionals };
}

/**
 * Runs the program: prints what it returns as JSON and exits 0, or prints {error, ...} and exits 1.
 * It exits for itself, because a client's open streams would keep the process alive.
 */
export async function run(main) {
    let status = 0;
    let output;
    try {
        output = await main();
    } catch (error) {
        status = 1;
        output = { error: String(error?.message ?? error), kind: error?.constructor?.name, ...error?.seen };
        console.error(error);
    }
    process.stdout.write(`${JSON.stringify(output)}\n`, () => process.exit(status));
}
