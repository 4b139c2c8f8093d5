"""docs/json.md and what the command writes have the same fields, of the same types.

    json_doc_test.py --source FOLDER --bin FOLDER
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

BOUND_S = 60
TYPES = {"text": str, "number": int, "true, false": bool, "list": list, "list of text": list, "object": dict}


def fail(message):
    sys.exit(f"docs/json.md: {message}")


def words_of(cell):
    return re.findall(r"`([a-z0-9_]+)`", cell)


class Page:
    """The tables of each section, as {field: type}."""

    def __init__(self, path):
        self.tables = {}
        self.prose = {}
        self.meanings = {}
        section, in_table = "", False
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("## "):
                section, in_table = line, False
                self.tables[section], self.prose[section] = [], ""
            elif line.startswith("| ") and section:
                cells = [cell.strip() for cell in line.strip("|").split("|")]
                if not in_table:
                    self.tables[section].append({})
                elif not cells[0].startswith("---"):
                    for word in words_of(cells[0]):
                        self.tables[section][-1][word] = cells[1]
                        self.meanings[section, word] = cells[-1]
                in_table = True
            elif section:
                in_table = False
                self.prose[section] += line + "\n"

    def section(self, part):
        (found,) = [name for name in self.tables if part in name]
        return found

    def table(self, part, index=0):
        return self.tables[self.section(part)][index]

    def meaning(self, part, field):
        return self.meanings[self.section(part), field]

    def sentence(self, part):
        return set(words_of(self.prose[self.section(part)]))


class Command:
    def __init__(self, program, folder):
        self.program = program
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "HOLDFAST_URL": f"local:{folder}/store",
        }
        self.started = []

    def start(self, *arguments, **how):
        process = subprocess.Popen(
            [self.program, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=how.pop("text", True),
            **how,
        )
        self.started.append(process)
        return process

    def hold(self, *arguments):
        process = self.start(*arguments, "--", "sh", "-c", "echo up; exec sleep 1000", text=False)
        if process.stdout.readline() != b"up\n":
            fail(f"{arguments} does not hold")
        return process

    def json(self, *arguments):
        out, _ = self.start(*arguments).communicate(timeout=BOUND_S)
        return json.loads(out)

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.wait(BOUND_S)


def check(what, value, documented, may_lack=()):
    missing = set(documented) - set(value) - set(may_lack)
    if missing or set(value) - set(documented):
        fail(f"{what} has the fields {sorted(value)}, and not {sorted(documented)}")
    for field, content in value.items():
        wanted = TYPES.get(documented[field])
        if content is not None and wanted and not isinstance(content, wanted):
            fail(f"{what}: {field} is {content!r}, and not {documented[field]}")


def check_words(what, value, page, part):
    """A section without a table: every field is a word of its text."""
    if not set(value) <= page.sentence(part):
        fail(f"{what} has the fields {sorted(value)}, of which its section does not tell all")


def looks(page, command):
    command.hold("run", "--why", "here", b"a\xff".decode("utf-8", "surrogateescape"))
    command.hold("run", "--slots", "2", "pool")
    command.hold("elect", "--proposal", "p", "el")
    listed = command.json("ls", "--json")
    check("ls", listed, page.table("`holdfast ls"))
    if len(listed["resources"]) != 3:
        fail(f"three names are held: {listed}")
    for resource in listed["resources"]:
        is_lock = resource["kind"] == "lock"
        has_bytes = "name_b64" in resource
        if has_bytes != ("\ufffd" in resource["name"]):
            fail(f"name_b64 has to be there if and only if the name is not UTF-8: {resource}")
        check("a resource", resource, page.table("`holdfast ls", 1), ["name_b64"])
        for claim in resource["claims"]:
            check("a claim", claim, page.table("`holdfast ls", 2), ["permits" if is_lock else "mode"])
            if ("mode" in claim) != is_lock:
                fail(f"a lock has a mode, permits have a number: {claim}")
    shown = command.json("show", "--json", "pool")
    check_words("show", shown, page, "`holdfast show")
    check("a resource of show", shown["resource"], page.table("`holdfast ls", 1), ["name_b64"])
    check_words("break", command.json("break", "--json", "--yes", "pool"), page, "`holdfast break")
    check_words("resize", command.json("resize", "--json", "free", "2"), page, "`holdfast resize")
    check_words("version", command.json("version", "--json"), page, "`holdfast version")

    change = json.loads(command.start("watch", "--json", "el").stdout.readline())
    documented = dict(page.table("`holdfast watch"))
    check("a line of watch", change, documented, ["name_b64"])
    leader = json.loads(command.start("elect", "--observe", "--json", "el").stdout.readline())
    check("a line of elect --observe", leader, page.table("--observe"), ["name_b64"])
    if not set(leader["leader"]) <= set(words_of(page.meaning("--observe", "leader"))):
        fail(f"of a leader the fields {sorted(leader['leader'])} are told")
    report = command.json("doctor", "--json")
    check("doctor", report, page.table("`holdfast doctor"))
    for finding in report["findings"]:
        check_words("a finding", finding, page, "`holdfast doctor")


def outcomes(page, command):
    section = "--status-fd"
    seen = set()
    for arguments in (
        ["run", "n", "true"],
        ["run", "-n", "el", "true"],
        ["run", "n", "no-such-command"],
        ["run", "n", "sh", "-c", f"{command.program} break --yes n; sleep 1000"],
        ["run", "--max-hold", "50ms", "n", "sleep", "1000"],
        ["run", "--url", "local:relative", "n", "true"],
    ):
        arguments[1:1] = ["--status-fd", "1"]
        out, _ = command.start(*arguments, stderr=subprocess.DEVNULL).communicate(timeout=BOUND_S)
        line = json.loads(out)
        check(f"the line of {arguments}", line, page.table(section))
        seen.add(line["outcome"])
    waiting = command.start("run", "--status-fd", "1", "el", "true")
    deadline = time.monotonic() + BOUND_S
    while len(command.json("show", "--json", "el")["resource"]["claims"]) < 2:
        if time.monotonic() > deadline:
            fail("it never waited")
        time.sleep(0.01)
    waiting.terminate()
    seen.add(json.loads(waiting.communicate(timeout=BOUND_S)[0])["outcome"])
    if seen != set(page.table(section, 1)):
        fail(f"the outcomes {sorted(seen)} were seen, and not {sorted(page.table(section, 1))}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    options = parser.parse_args()
    page = Page(options.source / "docs/json.md")
    with tempfile.TemporaryDirectory(prefix="holdfast-json") as folder:
        command = Command(str(options.bin / "holdfast"), folder)
        try:
            looks(page, command)
            outcomes(page, command)
        finally:
            command.end()


if __name__ == "__main__":
    main()
