// A worker of the benchmarks that takes turns by a lock of npm's, which polls: node-redlock every 0.1 to 0.3 s,
// redis-semaphore every 10 ms.
//
// It speaks the words of bench/worker.hpp on standard input and output. Its "threads" are callers of one process that
// wait at the same time, with a connection each.
//
//     redis_npm_lock.js FOLDER KIND PORT NAME THREADS
'use strict';

const readline = require('node:readline');
const {open} = require('./npm_locks.js');

const now = () => process.hrtime.bigint(); // CLOCK_MONOTONIC in nanoseconds.

/// The same buckets as bench/histogram.hpp.
function bucketOf(value) {
    if (value < 16n) {
        return Number(value);
    }
    const shift = value.toString(2).length - 5;
    return shift * 16 + Number(value >> BigInt(shift));
}

async function runSlice(locks, lengthMs, holdUs) {
    const end = now() + BigInt(lengthMs) * 1000000n;
    const waits = new Map();
    const takeTurns = async (lock) => {
        let turns = 0;
        for (let called = now(); called < end; called = now()) {
            await lock.acquire();
            const acquired = now();
            if (holdUs > 0) {
                await new Promise((done) => setTimeout(done, holdUs / 1000));
            }
            await lock.release();
            turns += acquired < end ? 1 : 0;
            const bucket = bucketOf(acquired - called);
            waits.set(bucket, (waits.get(bucket) || 0) + 1);
        }
        return `${turns}:0:0`;
    };
    const counted = await Promise.all(locks.map(takeTurns));
    console.log('done', ...counted, 'waits', ...[...waits].map(([bucket, count]) => `${bucket}:${count}`));
}

async function main() {
    const [folder, kind, port, name, threads] = process.argv.slice(2);
    const locks = [];
    while (locks.length < Number(threads)) {
        locks.push(await open(folder, kind, Number(port), name));
    }
    console.log('ready');
    for await (const line of readline.createInterface({input: process.stdin})) {
        const words = line.split(' ');
        if (words[0] === 'go') {
            await runSlice(locks, Number(words[1]), Number(words[2] || 0));
        } else if (words[0] === 'acquire') {
            await locks[0].acquire();
            console.log('acquired', String(now()));
        } else if (words[0] === 'release') {
            const called = now();
            await locks[0].release();
            console.log('released', String(called));
        }
    }
    locks.forEach((lock) => lock.close());
}

main();
