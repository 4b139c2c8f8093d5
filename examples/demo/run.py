"""The demo: services share a PostgreSQL server with few connections, first without and then with holdfast.

Four processes of examples/pool_service, with eight workers each, want connections; the server has ten.
Run it by `make demo`, or `make demo STORE=etcd`, `make demo STORE=redis`. Standard library only.

Exit codes: 0 as promised, 1 a promise was broken, 2 something is missing or broken, 130 interrupted.
"""

import argparse
import json
import os
import selectors
import signal
import sys
import time

import timeline
from events import History
from household import ENDING_SIGNALS, Household, Trouble, plain_environment
from screen import Screen
from servers import STORES, Postgres

SERVICES = 4
WORKERS = 8  # as pool_service has them
CONNECTIONS = 10  # as pool_service has them
ACCOUNTS = 1000  # as pool_service has them
START_BALANCE = 100

SCHEMA = f"""
CREATE ROLE app LOGIN;
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO accounts SELECT id, {START_BALANCE} FROM generate_series(1, {ACCOUNTS}) AS id;
CREATE TABLE transfers (service text, worker text, at timestamptz DEFAULT now());
CREATE TABLE jobs (name text PRIMARY KEY, last_run date NOT NULL, fence bigint NOT NULL);
INSERT INTO jobs VALUES ('nightly', current_date - 1, 0);
CREATE TABLE reports (service text, fence bigint, total bigint);
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO app;
"""
RESET = "TRUNCATE transfers, reports; UPDATE jobs SET last_run = current_date - 1, fence = 0;"


class Interrupted(Exception):
    pass


def main():
    options = parse_arguments()
    screen = Screen()
    household = None

    def interrupt(number, _frame):
        for each in ENDING_SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # one is enough; a second must not disturb the cleaning up
        raise Interrupted(signal.Signals(number).name)

    for each in ENDING_SIGNALS:
        signal.signal(each, interrupt)
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        household = Household()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
        return demonstrate(options, screen, household)
    except Interrupted as why:
        screen.say(f"\n  Interrupted ({why}): ending what was started, removing its files.")
        return 130
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Trouble as why:
        screen.say()
        print(f"demo: {why}", file=sys.stderr)
        return 2
    finally:
        for each in ENDING_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        if household is not None:
            household.close()


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Services share a small PostgreSQL, without and with holdfast."
    )
    parser.add_argument("--store", choices=sorted(STORES), default="local")
    parser.add_argument("--bin", default="build/bin", help="where pool_service is (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="length of each phase (default: %(default)s)"
    )
    parser.add_argument("--out", default="demo-out", help="folder of the picture (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    if not 2 <= options.seconds <= 600:
        parser.error("--seconds must be 2 to 600")
    return options


def demonstrate(options, screen, household):
    program = os.path.abspath(os.path.join(options.bin, "pool_service"))
    if not os.access(program, os.X_OK):
        raise Trouble(f"{program} is missing; `make demo` builds it, or say --bin FOLDER")

    screen.say()
    screen.say(
        f"  {screen.paint('holdfast demo', 'bold')}  {SERVICES * WORKERS} workers of {SERVICES} services "
        f"share {CONNECTIONS} PostgreSQL connections"
    )
    screen.say()
    screen.step("starting PostgreSQL")
    postgres = Postgres(household, CONNECTIONS)
    postgres.query(SCHEMA)
    screen.done(
        f"PostgreSQL {postgres.version}, thrown away afterwards, {CONNECTIONS} connections for services"
    )
    screen.step("starting the lock store")
    store = STORES[options.store](household)
    screen.done(f"lock store: {store.title}")
    command = os.path.join(options.bin, "holdfast")
    if os.access(command, os.X_OK):
        screen.say(screen.paint("    look inside from another terminal while it runs:", "dim"))
        screen.say(screen.paint(f"    {command} ls --url {store.url}", "dim"))

    phases = [
        run_phase(options, screen, household, postgres, store, program, gated) for gated in (False, True)
    ]
    (without, without_figures), (gated, gated_figures) = phases
    screen.say()
    screen.table(without_figures, gated_figures, CONNECTIONS)
    broken = judge(without_figures, gated_figures)
    picture = draw_picture(options, store, without, gated)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {
                    "store": options.store,
                    "without": without_figures,
                    "with": gated_figures,
                    "broken": broken,
                    "picture": picture,
                },
                file,
                indent=2,
            )
    screen.say()
    for promise in broken:
        screen.say(f"  {screen.paint(screen.glyph['refused'] + ' ' + promise, 'red')}")
    if not broken:
        screen.say(
            f"  {screen.paint(screen.glyph['ok'], 'green')} "
            "With holdfast nobody was refused, and the nightly job ran once."
        )
    screen.say(
        f"    who held what when: {os.path.join(options.out, os.path.basename(picture))} (in a browser)"
    )
    screen.say("    the code to copy:   examples/pool_service/pool_service.cpp")
    screen.say()
    return 1 if broken else 0


def run_phase(options, screen, household, postgres, store, program, gated):
    """Runs the services for a while; returns their history and its figures."""
    title = "with holdfast   " if gated else "without holdfast"
    postgres.query(RESET)
    refused_before = postgres.refused()
    environment = {**plain_environment(), "DATABASE_URL": postgres.url("app"), "HOLDFAST_URL": store.url}
    night = str(max(1, round(options.seconds * 0.25)))
    services = []
    history = History(gated=gated, services=SERVICES, workers=WORKERS, begin=time.time())
    for number in range(1, SERVICES + 1):
        command = [program, f"service-{number}", night] + ([] if gated else ["--no-gate"])
        services.append(household.start(command, environment=environment, pipe=True))

    with selectors.DefaultSelector() as pipes:
        for child in services:
            for pipe in (child.stdout, child.stderr):
                os.set_blocking(pipe.fileno(), False)
                pipes.register(pipe, selectors.EVENT_READ, {"child": child, "rest": b""})
        end = time.monotonic() + options.seconds
        accident_at = end - options.seconds / 2
        next_picture = 0.0
        # A slow machine gets more time, until every service has run its nightly job or left it to another.
        while (now := time.monotonic()) < end or (history.nights_over < SERVICES and now < end + 15):
            read_events(pipes, history, 0.05)
            if gated and not history.accident and now >= accident_at and hasattr(store, "accident"):
                history.accident_at = time.time()
                history.accident = store.accident()
                screen.tell(history.accident)
            for child in services:
                if child.poll() is not None:
                    read_events(pipes, history, 0.0)
                    raise Trouble(
                        f"a service ended by itself, code {child.returncode}: "
                        + "\n".join(history.failures[-3:])
                    )
            if now >= next_picture:
                screen.draw(title, history, options.seconds, CONNECTIONS)
                next_picture = now + 0.1
        for child in services:
            child.terminate()
        patience = time.monotonic() + 10
        while pipes.get_map() and time.monotonic() < patience:
            read_events(pipes, history, 0.05)
    screen.sum_up(title, history, history.good())
    if history.accident:
        screen.say(f"    after {options.seconds / 2:.0f} s {history.accident}")
    codes = household.end(services)

    figures = history.figures()
    figures["refused_by_server_log"] = postgres.refused() - refused_before
    committed, total, reports = (
        int(number)
        for number in postgres.query(
            "SELECT (SELECT count(*) FROM transfers), (SELECT sum(balance) FROM accounts), "
            "(SELECT count(*) FROM reports)"
        )
        .strip()
        .split("|")
    )
    figures |= {
        "committed_in_database": committed,
        "money_in_database": total,
        "reports_in_database": reports,
        "unclean_ends": sum(code != 0 for code in codes),
        "first_failure": next(iter(history.failures), ""),
    }
    return history, figures


def read_events(pipes, history, wait_s):
    for key, _ in pipes.select(wait_s):
        piece = os.read(key.fd, 1 << 16)
        if not piece:
            pipes.unregister(key.fileobj)
            continue
        *lines, key.data["rest"] = (key.data["rest"] + piece).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            if key.fileobj is key.data["child"].stdout:
                history.read(text)
            else:
                history.failures.append(text)


def judge(without, gated):
    """The promises that were broken, as sentences. The server's word counts as much as the services'."""
    broken = []
    if max(without["refused"], without["refused_by_server_log"]) == 0:
        broken.append("Without the gate nobody was refused: the demo has shown nothing.")
    if max(gated["refused"], gated["refused_by_server_log"]) != 0:
        broken.append(
            f"With holdfast {gated['refused_by_server_log']} connections were refused by the server."
        )
    if gated["peak_in_use"] > CONNECTIONS:
        broken.append(f"With holdfast {gated['peak_in_use']} connections were in use at once.")
    if (gated["nightly_runs"], gated["reports_in_database"]) != (1, 1):
        broken.append(
            f"With holdfast the nightly job ran {gated['nightly_runs']} times and wrote "
            f"{gated['reports_in_database']} reports."
        )
    for name, figures in (("without", without), ("with", gated)):
        if figures["failures"] or figures["unclean_ends"]:
            broken.append(f"A service of the phase '{name}' failed: {figures['first_failure']}")
        if figures["transactions"] != figures["committed_in_database"]:
            broken.append(
                f"In the phase '{name}' services committed {figures['transactions']} transactions, "
                f"the database has {figures['committed_in_database']}."
            )
        if figures["money_in_database"] != ACCOUNTS * START_BALANCE:
            broken.append(f"After the phase '{name}' the accounts hold {figures['money_in_database']} coins.")
    return broken


def draw_picture(options, store, without, gated):
    os.makedirs(options.out, exist_ok=True)
    picture = os.path.abspath(os.path.join(options.out, f"timeline-{options.store}.svg"))
    phases = [
        (heading, history.verdict(), history.good(), history)
        for heading, history in (("Without holdfast", without), ("With holdfast", gated))
    ]
    subtitle = (
        f"{SERVICES} services, {WORKERS} workers each; PostgreSQL has {CONNECTIONS} connections for them; "
        f"lock store: {store.title}"
    )
    timeline.write(picture, subtitle, phases, CONNECTIONS)
    return picture


if __name__ == "__main__":
    sys.exit(main())
