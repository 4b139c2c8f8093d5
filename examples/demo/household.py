"""The demo's household: one temporary folder, and children that end with the demo however it ends.

Closing it ends every child, and whatever those have started, and removes every file. Should the demo itself
be killed, the kernel ends the children (parent-death signal), and a small shell that waits for our end
removes the files.
"""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True)
ENDING_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Trouble(Exception):
    """Something outside the demo is missing or broken; the text names the remedy."""


class Household:
    """The demo's folder and children. Not thread-safe; children are bound to the thread that starts them."""

    def __init__(self):
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what our children leave behind becomes ours
        self.account = server_account()
        self.folder = tempfile.mkdtemp(prefix="holdfast-demo-", dir=base_folder(self.account))
        # As root, PostgreSQL runs under another account and must get through to its own folder.
        os.chmod(self.folder, 0o711 if self.account else 0o700)
        self.children = []
        self.sweeper = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                'trap "" INT TERM HUP; read -r _; sleep 1; rm -rf "$1"; sleep 1; rm -rf "$1"',
                "holdfast-demo-sweeper",
                self.folder,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def make_folder(self, name, for_server_account=False):
        path = os.path.join(self.folder, name)
        os.mkdir(path, 0o700)
        if for_server_account and self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)
        return path

    def start(
        self,
        command,
        log=None,
        end_signal=signal.SIGKILL,
        as_server_account=False,
        environment=None,
        pipe=False,
    ):
        """Starts a child that `end_signal` ends with the demo. Its output goes to `log`, or into a pipe."""
        parent = os.getpid()

        def prepare():
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            LIBC.prctl(PR_SET_PDEATHSIG, end_signal, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        options = {}
        if as_server_account and self.account:
            options = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        # A signal between the fork and the note of the child's id would lose the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        try:
            with contextlib.nullcontext(subprocess.PIPE) if pipe else open(log, "ab") as output:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=prepare,
                    cwd="/",
                    env=environment or plain_environment(),
                    **options,
                )
            child.end_signal = end_signal
            self.children.append(child)
            return child
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self, command, step, as_server_account=False):
        """Runs a command to its end and gives its output; fails with what it said."""
        log = os.path.join(self.folder, "step.log")
        open(log, "wb").close()
        child = self.start(command, log=log, as_server_account=as_server_account)
        code = child.wait()
        self.children.remove(child)
        with open(log, encoding="utf-8", errors="replace") as lines:
            text = lines.read()
        if code != 0:
            raise Trouble(f"{step} failed:\n{text.strip()}")
        return text

    def end(self, children):
        """Waits for children that were told to end, kills the deaf ones, and gives their exit codes."""
        for child in children:
            try:
                child.wait(1)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            self.children.remove(child)
        return [child.returncode for child in children]

    def close(self):
        for child in self.children:
            child.poll()
            child.send_signal(child.end_signal)
        give_up = time.monotonic() + 1.2
        for child in self.children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, give_up - time.monotonic()))
        self.sweeper.kill()
        self.sweeper.wait()
        end_descendants()
        shutil.rmtree(self.folder, ignore_errors=True)


def end_descendants():
    """Kills our children until there are none: killing one may give us those that it had started."""
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        left = children_of(os.getpid())
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def children_of(parent):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                # The command's name stands in brackets and may hold anything; after it come state and parent.
                if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                    found.append(int(name))
    return found


def server_account():
    """The account for servers that refuse to run as root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise Trouble(
        "PostgreSQL does not run as root, and there is no account `postgres`; run the demo as a normal user"
    )


def base_folder(account):
    """The folder for temporary files, or /tmp where the account could not get in or the name is too long."""
    folder = tempfile.gettempdir()
    if len(folder) > 60:  # a socket's path has room for 107 bytes
        return "/tmp"
    while account and folder != "/":
        if not os.stat(folder).st_mode & 0o001:
            return "/tmp"
        folder = os.path.dirname(folder)
    return tempfile.gettempdir()


def plain_environment():
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C"}
