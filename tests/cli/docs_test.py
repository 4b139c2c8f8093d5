"""Every example of docs/command.md does what the page says.

    docs_test.py --source FOLDER --bin FOLDER

A crontab's command is run as cron runs it, scripts as programs. A unit is read by systemd-analyze, and its ExecStart
is started and stopped as systemd does: systemd itself need not be running. The stores are the test's own.
"""

import argparse
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

BOUND_S = 60


def fail(message):
    sys.exit(f"docs/command.md: {message}")


class Page:
    def __init__(self, options):
        sys.path.insert(0, str(options.source / "tests/docs"))
        sys.path.insert(0, str(options.source / "examples/demo"))
        import blocks  # pylint: disable=import-outside-toplevel
        import household  # pylint: disable=import-outside-toplevel
        import servers  # pylint: disable=import-outside-toplevel

        self.servers = servers
        self.household = household
        self.blocks = blocks.read_blocks(options.source / "docs/command.md")
        self.bin = options.bin

    def of(self, language):
        found = [block.text for block in self.blocks if block.language == language]
        if not found:
            fail(f"no {language} block")
        return found


class Place:
    """A folder with a store, and with jobs that note when they ran."""

    def __init__(self, folder, bin_folder):
        self.folder = pathlib.Path(folder)
        # As bare as cron's.
        self.environment = {
            "HOME": folder,
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "SHELL": "/bin/sh",
            "HOLDFAST_URL": f"local:{folder}/store",
        }

    def job(self, name, lines="sleep 0.2"):
        path = self.folder / name
        path.write_text(
            f'#!/bin/bash\necho "$HOLDFAST_NAME $HOLDFAST_TOKEN" >> {name}.runs\n{lines}\n', encoding="utf-8"
        )
        path.chmod(0o755)

    def runs(self, name):
        path = self.folder / f"{name}.runs"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def start(self, command):
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self, process, expected):
        out, _ = process.communicate(timeout=BOUND_S)
        if process.returncode != expected:
            fail(f"{process.args} ended with {process.returncode}, not {expected}: {out}")
        return out

    def until(self, condition, what):
        deadline = time.monotonic() + BOUND_S
        while not condition():
            if time.monotonic() > deadline:
                fail(f"never: {what}")
            time.sleep(0.01)


def cron_lines(page, folder, etcd_url):
    for line in "".join(page.of("cron")).splitlines():
        place = Place(tempfile.mkdtemp(dir=folder), page.bin)
        command = line.split(None, 5)[5].replace("etcd://127.0.0.1:2379", etcd_url)
        place.job("report.sh", "until [ -e go ]; do sleep 0.01; done")
        first = place.start(["/bin/sh", "-c", command])
        place.until(lambda: place.runs("report.sh"), "the report began")
        out = place.wait(place.start(["/bin/sh", "-c", command]), 0)
        if out or len(place.runs("report.sh")) != 1:
            fail(f"'{command}': the second run was not silently left out: {out}")
        began = time.monotonic()
        (place.folder / "go").touch()
        if "--at-least" in command:
            place.wait(place.start(["/bin/sh", "-c", command]), 0)
            if time.monotonic() - began < 1 and len(place.runs("report.sh")) != 1:
                fail(f"'{command}': a late clock ran it again")
        place.wait(first, 0)


def is_taken_by_systemd(text, page, folder):
    """systemd-analyze looks for the program, too, which need not be installed."""
    path = pathlib.Path(folder) / "scheduler.service"
    path.write_text(text.replace("/usr/bin/holdfast", str(page.bin / "holdfast")), encoding="utf-8")
    read = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BOUND_S,
    )
    # Of a setting that it does not know it only warns. Other units of this machine are none of ours.
    complaints = [line for line in read.stdout.splitlines() if path.name in line]
    if complaints:
        fail(f"systemd does not take the unit: {complaints}")


def unit(page, folder, etcd_url):
    (text,) = page.of("ini")
    is_taken_by_systemd(text, page, folder)
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    for key in ("ExecStart", "Restart", "KillMode", "TimeoutStopSec", "WantedBy"):
        if key not in settings:
            fail(f"the unit has no {key}")
    words = [word.replace("%H", "this-host") for word in shlex.split(settings["ExecStart"])]
    if words[0] != "/usr/bin/holdfast":
        fail("ExecStart must name the program by its whole path")
    words[0] = str(page.bin / "holdfast")
    place = Place(folder, page.bin)
    place.environment["HOLDFAST_URL"] = etcd_url
    place.job("scheduler", "exec sleep 1000")
    first = place.start(words)
    place.until(lambda: len(place.runs("scheduler")) == 1, "the first led")
    second = place.start(words)
    observing = place.start([words[0], "elect", "--observe", "--plain", "scheduler"])
    if "\tthis-host:8080\t" not in observing.stdout.readline():
        fail("an observer does not see the proposal")
    first.terminate()  # As systemctl stop does.
    place.wait(first, -15)
    place.until(lambda: len(place.runs("scheduler")) == 2, "the second took over")
    second.terminate()
    place.wait(second, -15)
    observing.terminate()
    observing.communicate(timeout=BOUND_S)
    tokens = [int(line.split()[1]) for line in place.runs("scheduler")]
    if tokens != sorted(set(tokens)):
        fail(f"tokens must rise: {tokens}")


def scripts(page, folder):
    old, new = page.of("bash")
    for text in (old, new):
        place = Place(tempfile.mkdtemp(dir=folder), page.bin)
        script = place.folder / "backup"
        script.write_text(text.replace("/tmp/backup.lock", str(place.folder / "lock")), encoding="utf-8")
        script.chmod(0o755)
        place.job("dump.sh", "until [ -e go ]; do sleep 0.01; done")
        first = place.start([str(script)])
        place.until(lambda: place.runs("dump.sh"), "the dump began")
        place.wait(place.start([str(script)]), 1)
        (place.folder / "go").touch()
        place.wait(first, 0)
        if len(place.runs("dump.sh")) != 1:
            fail("the second backup was not refused")


def shell(page, folder):
    place = Place(folder, page.bin)
    for line in "".join(page.of("sh")).splitlines():
        for job in re.findall(r"\./(\w+\.sh)", line):
            place.job(job)
        place.wait(place.start(["/bin/bash", "-c", line]), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    page = Page(parser.parse_args())
    house = page.household.Household()
    try:
        etcd_url = page.servers.EtcdStore(house).url
        cron_lines(page, house.make_folder("cron"), etcd_url)
        unit(page, house.make_folder("unit"), etcd_url)
        scripts(page, house.make_folder("scripts"))
        shell(page, house.make_folder("shell"))
    finally:
        house.close()


if __name__ == "__main__":
    main()
