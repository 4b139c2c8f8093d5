"""The throwaway servers of the demo: PostgreSQL, and what the lock stores need."""

import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import time
import urllib.request

from household import Trouble


def find_program(name, package):
    path = shutil.which(
        name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
    )
    if path is None:
        raise Trouble(f"{name} is not installed; `make demo` installs it, or: apt-get install {package}")
    return path


def free_ports(count):
    with contextlib.ExitStack() as probes:
        found = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
        return found  # none of them twice: all were taken until here


def wait_until(ready, child, what, log, bound_s=20.0):
    give_up = time.monotonic() + bound_s
    while not ready():
        if child.poll() is not None or time.monotonic() > give_up:
            with open(log, encoding="utf-8", errors="replace") as lines:
                tail = "".join(lines.readlines()[-12:]).strip()
            fate = (
                "did not come up in time" if child.poll() is None else f"ended with code {child.returncode}"
            )
            raise Trouble(f"{what} {fate}:\n{tail}")
        time.sleep(0.02)


class Postgres:
    """A PostgreSQL on a socket in the demo's folder, with `connections` for others than its superuser."""

    RESERVED = 2

    def __init__(self, household, connections):
        self.household = household
        self.connections = connections
        self.programs = postgres_programs()
        self.home = household.make_folder("postgresql", for_server_account=True)
        self.log = os.path.join(household.folder, "postgresql.log")
        data = os.path.join(self.home, "data")
        household.run(
            [
                self.program("initdb"),
                "-D",
                data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            "making a PostgreSQL database (initdb)",
            as_server_account=True,
        )
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.home,
            "max_connections": connections + self.RESERVED,
            "superuser_reserved_connections": self.RESERVED,
            "shared_buffers": "16MB",
            "autovacuum": "off",
            "log_line_prefix": "%e ",
            "log_destination": "stderr",
            # Thrown away afterwards, so nothing has to survive a power cut.
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
        }
        command = [self.program("postgres"), "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        # SIGQUIT: it ends its own children at once.
        self.child = household.start(
            command,
            log=self.log,
            end_signal=signal.SIGQUIT,
            as_server_account=True,
        )
        wait_until(
            lambda: b"ready to accept connections" in self.read_log(), self.child, "PostgreSQL", self.log
        )
        self.version = self.query("SHOW server_version").split()[0]

    def program(self, name):
        return os.path.join(self.programs, name)

    def url(self, user):
        return f"host={self.home} user={user} dbname=postgres connect_timeout=5"

    def query(self, sql):
        """Runs statements as the superuser, who has connections of its own."""
        return self.household.run(
            [
                self.program("psql"),
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                self.url("postgres"),
                "-c",
                sql,
            ],
            "asking PostgreSQL",
            as_server_account=True,
        )

    def read_log(self):
        with open(self.log, "rb") as lines:
            return lines.read()

    def refused(self):
        """How many connections it has refused for want of room, by its own log (SQLSTATE 53300)."""
        return sum(line.startswith(b"53300 ") for line in self.read_log().splitlines())


def postgres_programs():
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    folders.sort(key=lambda path: float(path.split("/")[4]), reverse=True)
    for folder in folders:
        if all(os.access(os.path.join(folder, name), os.X_OK) for name in ("initdb", "postgres", "psql")):
            return folder
    path = shutil.which("initdb")
    if path:
        return os.path.dirname(os.path.realpath(path))
    raise Trouble("PostgreSQL is not installed; `make demo` installs it, or: apt-get install postgresql")


class LocalStore:
    title = "embedded store, nothing to configure"

    def __init__(self, household):
        # A folder of the demo's own, so that nothing stays behind in the default one.
        self.url = "local:" + household.make_folder("locks")


class EtcdStore:
    """Three members; the one that leads is killed in the middle of the run."""

    MEMBERS = ("one", "two", "three")

    def __init__(self, household):
        program = find_program("etcd", "etcd-server")
        home = household.make_folder("etcd")
        ports = free_ports(2 * len(self.MEMBERS))
        clients = [f"127.0.0.1:{port}" for port in ports[::2]]
        peers = [f"http://127.0.0.1:{port}" for port in ports[1::2]]
        cluster = ",".join(f"{name}={peer}" for name, peer in zip(self.MEMBERS, peers))
        logs = [os.path.join(household.folder, f"etcd-{name}.log") for name in self.MEMBERS]
        self.members = {}
        for name, address, peer, log in zip(self.MEMBERS, clients, peers, logs):
            client = f"http://{address}"
            self.members[address] = household.start(
                [
                    program,
                    "--name",
                    name,
                    "--data-dir",
                    os.path.join(home, name),
                    "--listen-client-urls",
                    client,
                    "--advertise-client-urls",
                    client,
                    "--listen-peer-urls",
                    peer,
                    "--initial-advertise-peer-urls",
                    peer,
                    "--initial-cluster",
                    cluster,
                    "--unsafe-no-fsync",
                ],
                log=log,
            )
        for address, log in zip(clients, logs):
            wait_until(
                lambda address=address: b'"health":"true"' in ask(address, b"GET /health HTTP/1.0\r\n\r\n"),
                self.members[address],
                "etcd",
                log,
            )
        self.url = "etcd://" + ",".join(clients)
        self.title = f"etcd, three members at {', '.join(clients)}"

    def accident(self):
        """Kills the leader, and says so."""
        address = next((each for each in self.members if self.leads(each)), next(iter(self.members)))
        child = self.members[address]
        child.kill()
        child.wait()
        return f"the etcd member at {address}, the leader of the three, has been killed"

    @staticmethod
    def leads(address):
        request = urllib.request.Request(f"http://{address}/v3/maintenance/status", data=b"{}")
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=2) as reply:
            status = json.load(reply)
            return status.get("leader") == status["header"]["member_id"]
        return False


class RedisStore:
    """One master that keeps what it acknowledged; it is killed and started again in the middle of the run."""

    def __init__(self, household):
        self.household = household
        self.program = find_program("redis-server", "redis-server")
        self.home = household.make_folder("redis")
        self.log = os.path.join(household.folder, "redis.log")
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.child = self.start()
        self.url = "redis://" + self.address
        self.title = f"Redis at {self.address}"

    def start(self):
        settings = {
            "bind": "127.0.0.1",
            "port": self.address.split(":")[1],
            "dir": self.home,
            "save": "",
            # What makes the level of a hold "fenced": no acknowledged lock is forgotten.
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        command = [self.program]
        for name, value in settings.items():
            command += [f"--{name}", value]
        child = self.household.start(command, log=self.log)
        wait_until(lambda: ask(self.address, b"PING\r\n").startswith(b"+PONG"), child, "Redis", self.log)
        return child

    def accident(self):
        """Kills the server, starts it again, and says so."""
        self.child.kill()
        self.child.wait()
        self.child = self.start()
        return f"the Redis at {self.address} has been killed and started again"


STORES = {"local": LocalStore, "etcd": EtcdStore, "redis": RedisStore}


def ask(address, request):
    """One request over TCP, and the first piece of the answer; empty while nobody answers."""
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1) as connection:
            connection.sendall(request)
            answer = b""
            while True:
                piece = connection.recv(4096)
                answer += piece
                if not piece or not request.startswith(b"GET"):
                    return answer
    except OSError:
        return b""
