"""What the services' log lines say: who held a connection when, and the figures made from it."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Span:
    """Something that a worker (or a service's nightly job) did from one instant to another."""

    service: int
    worker: int  # 0: the nightly job
    begin: float
    end: float
    token: int


@dataclass
class Worker:
    """What a worker does right now."""

    asks_since: float
    connected_since: float | None = None
    token: int = 0
    refused_last: bool = False


@dataclass
class History:
    """One phase, from `begin` on. Instants are seconds since 1970, as the services write them."""

    gated: bool
    services: int
    workers: int
    begin: float
    end: float = 0.0
    spans: list = field(default_factory=list)
    nightly: list = field(default_factory=list)
    refusals: list = field(default_factory=list)  # (instant, service, worker)
    waits: list = field(default_factory=list)  # seconds
    failures: list = field(default_factory=list)  # texts
    nights_over: int = 0  # services whose nightly job was run or left to another
    lost: int = 0
    accident: str = ""  # what was done to the lock store meanwhile
    accident_at: float = 0.0
    now: dict = field(default_factory=dict)
    committed: Counter = field(default_factory=Counter)  # by service
    refused: Counter = field(default_factory=Counter)  # by service

    def __post_init__(self):
        for service in range(1, self.services + 1):
            for worker in range(self.workers + 1):
                self.now[service, worker] = Worker(asks_since=self.begin)

    def read(self, line):
        """Takes one line: SECONDS service-N worker-M|nightly WHAT [DETAILS]."""
        parts = line.split(maxsplit=4)
        if len(parts) < 4:
            self.failures.append(line)
            return
        instant, what = float(parts[0]), parts[3]
        details = parts[4] if len(parts) == 5 else ""
        service = int(parts[1].rpartition("-")[2])
        worker = 0 if parts[2] == "nightly" else int(parts[2].rpartition("-")[2])
        state = self.now[service, worker]
        state.refused_last = what == "refused"
        if what == "connected":
            self.waits.append(instant - state.asks_since)
        if what in ("connected", "started"):
            state.connected_since = instant
            state.token = int(details.partition("=")[2])
        elif what in ("committed", "finished"):
            spans = self.spans if worker else self.nightly
            spans.append(Span(service, worker, state.connected_since, instant, state.token))
            if worker:
                self.committed[service] += 1
            else:
                self.nights_over += 1
            state.connected_since, state.asks_since = None, instant
        elif what == "refused":
            self.refusals.append((instant, service, worker))
            self.refused[service] += 1
        elif what == "skipped":
            self.nights_over += 1
        elif what in ("lost", "fenced"):
            self.lost += 1
            self.nights_over += what == "fenced"
            state.connected_since, state.asks_since = None, instant
        else:
            self.failures.append(f"{parts[1]} {parts[2]}: {details}")
            state.connected_since = None
        self.end = max(self.end, instant)

    def in_use(self):
        """Connections that are held right now."""
        return sum(state.connected_since is not None for state in self.now.values())

    def verdict(self):
        """What came of it, in words."""
        refused, runs = len(self.refusals), len(self.nightly)
        return (
            f"{f'{refused:,} connections' if refused else 'no connection'} refused, "
            f"nightly job ran {times(runs)}"
        )

    def good(self):
        return not self.refusals and len(self.nightly) == 1

    def use_over_time(self):
        """Steps (instant, connections in use)."""
        changes = []
        for span in self.spans + self.nightly:
            changes += [(span.begin, 1), (span.end, -1)]
        steps, used = [], 0
        for instant, change in sorted(changes):
            used += change
            steps.append((instant, used))
        return steps

    def longest_pause(self):
        """The longest time in which no transaction ended."""
        ends = sorted(span.end for span in self.spans)
        return max((after - before for before, after in zip(ends, ends[1:])), default=0.0)

    def figures(self):
        per_worker = {key: 0 for key in self.now if key[1]}
        for span in self.spans:
            per_worker[span.service, span.worker] += 1
        seconds = max(self.end - self.begin, 0.001)
        return {
            "seconds": round(seconds, 3),
            "transactions": len(self.spans),
            "refused": len(self.refusals),
            "throughput_per_s": round(len(self.spans) / seconds, 1),
            "peak_in_use": max((used for _, used in self.use_over_time()), default=0),
            "wait_p50_ms": round(1000 * percentile(self.waits, 0.50), 1),
            "wait_p99_ms": round(1000 * percentile(self.waits, 0.99), 1),
            "wait_max_ms": round(1000 * max(self.waits, default=0.0), 1),
            "longest_pause_ms": round(1000 * self.longest_pause(), 1),
            "worker_most": max(per_worker.values()),
            "worker_least": min(per_worker.values()),
            "nightly_runs": len(self.nightly),
            "lost_holds": self.lost,
            "failures": len(self.failures),
        }


def times(count):
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def percentile(values, share):
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
