// A program to stand for the browser of command line clients, as $BROWSER: it returns at once, as a browser does, and the
// person of person.mjs does the rest.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PERSON = fileURLToPath(new URL('person.mjs', import.meta.url));

export class Opener {
    /** Keeps its files in `directory`, which must exist. */
    constructor(directory, { user, password }) {
        this.directory = directory;
        const visit = `'${process.execPath}' '${PERSON}' "$1" --user "$PERSON_USER" --password "$PERSON_PASSWORD" --visit`;
        const lines = [
            '#!/bin/sh',
            `echo opened >>'${directory}/opened'`,
            `(${visit} >>'${directory}/person.log' 2>>'${directory}/person.err' </dev/null &)`,
        ];
        writeFileSync(join(directory, 'browser'), `${lines.join('\n')}\n`, { mode: 0o755 });
        /** What the client's environment must hold. */
        this.env = { BROWSER: join(directory, 'browser'), PERSON_USER: user, PERSON_PASSWORD: password };
    }

    #lines(name) {
        const path = join(this.directory, name);
        return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').filter(Boolean) : [];
    }

    /** How often it was asked to open a page. */
    get authorizations() {
        return this.#lines('opened').length;
    }

    /** What the person has to tell of each page, oldest first: {location, ...} or {error, ...}. */
    get told() {
        return this.#lines('person.log').map((line) => JSON.parse(line));
    }

    /** What the pages said that led nowhere. */
    get deadEnds() {
        return this.told.map((one) => one.error).filter(Boolean);
    }
}
