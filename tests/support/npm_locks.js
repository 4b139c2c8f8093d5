// The locks that npm offers for Redis, each behind the same four calls, for the tests and the benchmarks.
//
// They are used as they come, but for two settings: they retry without end where they would give up after some seconds
// (a benchmark's worker must not fail because it is unlucky), and a lock lasts 10 s, as ours does.
'use strict';

const {createRequire} = require('node:module');
const path = require('node:path');

const ttlMs = 10000;

/// kind: 'redlock4', 'redlock5' or 'redis-semaphore'. folder: where scripts/npm-peers.sh installed them.
/// Each object has a connection of its own and is used by one caller at a time.
exports.open = async function open(folder, kind, port, name) {
    const load = createRequire(path.resolve(folder, 'peer.js'));
    const Redis = load('ioredis');
    const client = new Redis({host: '127.0.0.1', port});
    await client.ping();
    const made = kind === 'redis-semaphore' ? semaphore(load('redis-semaphore'), client, name)
                                            : redlock(kind, load(kind), client, name);
    return {...made, close: () => client.disconnect()};
};

function redlock(kind, loaded, client, name) {
    const Redlock = loaded.default || loaded;
    const patient = new Redlock([client], {retryCount: -1});
    const impatient = new Redlock([client], {retryCount: 0});
    const resources = kind === 'redlock4' ? name : [name];
    let held;
    return {
        acquire: async () => {
            held = await patient.acquire(resources, ttlMs);
        },
        /// False where somebody else holds; every other failure is thrown.
        tryAcquire: async () => {
            try {
                held = await impatient.acquire(resources, ttlMs);
                return true;
            } catch (failure) {
                if (failure.name === 'LockError' || failure.name === 'ExecutionError') {
                    return false;
                }
                throw failure;
            }
        },
        extend: async () => {
            held = await held.extend(ttlMs);
        },
        release: () => kind === 'redlock4' ? held.unlock() : held.release(),
    };
}

function semaphore(loaded, client, name) {
    const patient = new loaded.Mutex(client, name, {lockTimeout: ttlMs, acquireTimeout: Infinity});
    const impatient = new loaded.Mutex(client, name, {lockTimeout: ttlMs, acquireAttemptsLimit: 1});
    let held;
    return {
        acquire: async () => {
            await patient.acquire();
            held = patient;
        },
        tryAcquire: async () => {
            const got = await impatient.tryAcquire();
            held = got ? impatient : held;
            return got;
        },
        /// Its own timer does this every 8 s.
        extend: async () => {
            if (!await held._refresh()) {
                throw new Error('lost');
            }
        },
        release: () => held.release(),
    };
}
