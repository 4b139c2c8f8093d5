// Another program that uses a lock of npm's, driven by tests/redis/npm_test.cpp.
//
//     npm_lock.js FOLDER KIND PORT NAME
//
// Says "ready", then does what each line of its input says (try, acquire, extend, release) and answers with one line:
// the word, or "busy" to a try that did not get it, or "failed" and why.
'use strict';

const readline = require('node:readline');
const {open} = require('../../support/npm_locks.js');

async function main() {
    const [folder, kind, port, name] = process.argv.slice(2);
    const lock = await open(folder, kind, Number(port), name);
    const calls = {try: lock.tryAcquire, acquire: lock.acquire, extend: lock.extend, release: lock.release};
    console.log('ready');
    for await (const word of readline.createInterface({input: process.stdin})) {
        try {
            console.log(await calls[word]() === false ? 'busy' : word);
        } catch (failure) {
            console.log('failed', failure.message);
        }
    }
    lock.close();
}

main();
