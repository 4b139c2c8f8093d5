"""A worker of the benchmarks that takes turns by redis-py's Lock, as it comes: it polls every 0.1 s.

It speaks the words of bench/worker.cpp on standard input and output.

    redis_py_lock.py PORT NAME THREADS
"""

import sys
import threading
import time

import redis


def bucket_of(value):
    """The same buckets as bench/histogram.hpp."""
    if value < 16:
        return value
    shift = value.bit_length() - 5
    return shift * 16 + (value >> shift)


def run_slice(locks, length_ms):
    end = time.monotonic_ns() + length_ms * 1_000_000
    turns = [0] * len(locks)
    waits = {}
    guard = threading.Lock()

    def take_turns(index, lock):
        while (called := time.monotonic_ns()) < end:
            lock.acquire()
            acquired = time.monotonic_ns()
            lock.release()
            if acquired < end:
                turns[index] += 1
            with guard:
                bucket = bucket_of(acquired - called)
                waits[bucket] = waits.get(bucket, 0) + 1

    threads = [threading.Thread(target=take_turns, args=pair) for pair in enumerate(locks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = " ".join(f"{count}:0:0" for count in turns)
    print("done", counted, "waits", " ".join(f"{bucket}:{count}" for bucket, count in waits.items()), flush=True)


def main():
    port, name, threads = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    # A client each, so that no thread waits for another's connection.
    locks = [redis.Redis(port=port).lock(name, timeout=10) for _ in range(threads)]
    for lock in locks:
        lock.redis.ping()
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "go":
            run_slice(locks, int(words[1]))
        elif words[0] == "acquire":
            locks[0].acquire()
            print("acquired", time.monotonic_ns(), flush=True)
        elif words[0] == "release":
            called = time.monotonic_ns()
            locks[0].release()
            print("released", called, flush=True)


if __name__ == "__main__":
    main()
