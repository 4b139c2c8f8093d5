"""Every code block of README.md does what it says.

    readme_test.py --source FOLDER --programs FOLDER --bin FOLDER --build FOLDER --compiler PATH

A block is run by its language: shell blocks line by line, C++ blocks as the programs that CMake has built of them (see
blocks.py), Python blocks, SQL on a throwaway PostgreSQL, CMake blocks as a project that uses the installed package. Only
what NOT_RUN names is not run, and checked in another way instead. A block in any other language fails, so that nobody
adds one that nothing looks at.

The stores are real ones of the test's own: addresses in the blocks are replaced, and `local:` is a folder that goes
with the test.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

from blocks import STORES, read_blocks

BOUND_S = 120

# What the lines of a shell block may begin with: no block may change the machine that tests it.
COMMANDS = ("holdfast", "etcdctl", "redis-cli")

# Blocks that are not run, by their first line: why, and what is checked in their place.
NOT_RUN = {
    "make demo": ("builds here and installs packages; tests of its own run the demo", "targets"),
    "make install": ("writes to the machine; the CMake block is built with an installed copy", "targets"),
}

JOB = """#!/bin/sh
# What the blocks call ./job.sh: notes that it ran, and what it was told.
printf '%s\\n' "${HOLDFAST_NAME-}${ETCD_LOCK_KEY-} ${HOLDFAST_TOKEN-}${ETCD_LOCK_REV-}" >>"$README_RUNS"
"""


class Failure(Exception):
    pass


def run(command, expected=(0,), **options):
    """Runs to the end. Fails with the output if the exit code is not one of the expected ones."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOUND_S,
        check=False,
        **options,
    )
    if done.returncode not in expected:
        raise Failure(f"exit code {done.returncode}\n{done.stdout}")
    return done.stdout


class Runner:
    """Runs blocks one after another, in a folder of its own, on servers that it starts when a block names them."""

    def __init__(self, options, servers, household):
        self.options = options
        self.servers = servers
        self.household = household
        self.folder = pathlib.Path(household.make_folder("readme"))
        self.runs = self.folder / "runs"
        job = self.folder / "job.sh"
        job.write_text(JOB, encoding="utf-8")
        job.chmod(0o755)
        self.urls = {"local:": "local:" + household.make_folder("locks")}
        self.stores = {
            "etcd://127.0.0.1:2379": servers.EtcdStore,
            "redis://127.0.0.1:6379": servers.RedisStore,
        }

    def url(self, store):
        if store not in self.urls:
            self.urls[store] = self.stores[store](self.household).url
        return self.urls[store]

    def environment(self, text):
        """What the block's commands see: no store but the test's own."""
        found = {
            "PATH": f"{self.options.bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "LC_ALL": "C.UTF-8",
            "HOLDFAST_URL": self.url("local:"),
            "ETCDCTL_API": "3",
            "README_RUNS": str(self.runs),
            "README_LOCAL_URL": self.url("local:"),
        }
        if "etcd" in text:
            found["README_ETCD_URL"] = self.url("etcd://127.0.0.1:2379")
            found["ETCDCTL_ENDPOINTS"] = found["README_ETCD_URL"].removeprefix("etcd://")
        if "redis" in text:
            found["README_REDIS_URL"] = self.url("redis://127.0.0.1:6379")
        return found

    def replaced(self, text):
        """The text with the addresses of the test's servers in the place of those that everybody knows."""
        for store in self.stores:
            address = store.split("//")[1]
            if address in text:
                text = text.replace(address, self.url(store).split("//")[1])
        return text

    def sh(self, block):
        self.runs.unlink(missing_ok=True)
        # Comments go, so that a job that one mentions is not counted.
        code = re.sub(r"(^|\s)#.*", "", block.text)
        commands = [line.split()[0] for line in code.splitlines() if line.strip()]
        if not commands:
            raise Failure("there is nothing to run in it")
        if not set(commands) <= set(COMMANDS):
            raise Failure(f"its lines may begin with {', '.join(COMMANDS)}; name the block in NOT_RUN, or add to these")
        run(["bash", "-euo", "pipefail", "-c", self.replaced(code)], env=self.environment(code), cwd=self.folder)
        expected = code.count("./job.sh")
        runs = self.runs.read_text(encoding="utf-8").splitlines() if self.runs.exists() else []
        if len(runs) != expected:
            raise Failure(f"./job.sh ran {len(runs)} times, not {expected}")
        for line in runs:
            if not re.fullmatch(r"\S+ \d+", line):
                raise Failure(f"./job.sh was not told name and token, but '{line}'")

    def program(self, block):
        built = pathlib.Path(self.options.programs) / f"readme_block_{block.line}"
        if not built.exists():
            raise Failure(f"{built} was not built; configure again")
        return built

    def cpp(self, block):
        run([self.program(block)], env=self.environment(block.text), cwd=self.folder)

    def python(self, block):
        run([sys.executable, "-c", self.replaced(block.text)], env=self.environment(block.text), cwd=self.folder)

    def sql(self, block):
        """The fenced write: the library's own text, taken from the newest holder, refused from any other."""
        statement = re.sub(r"--.*", "", block.text).split()
        guards = [each for each in self.options.blocks if each.language == "cpp" and "sql_guard" in each.text]
        made = [run([self.program(each)], env=self.environment(each.text), cwd=self.folder) for each in guards]
        if not any(each.split() == statement for each in made):
            raise Failure(f"sql_guard makes another statement: {made}")
        postgres = self.servers.Postgres(self.household, 5)
        postgres.query(
            "CREATE TABLE accounts (id int PRIMARY KEY, balance int, fence bigint NOT NULL DEFAULT 0,"
            " fence_owner varchar(64) NOT NULL DEFAULT '');"
            "INSERT INTO accounts VALUES (7, 100)"
        )
        script = pathlib.Path(postgres.home) / "block.sql"
        # Balance, token and owner that are written, and the row that is there then.
        steps = (
            ((90, 5, "a"), "90|5|a"),
            ((80, 5, "a"), "80|5|a"),
            ((1, 5, "b"), "80|5|a"),
            ((1, 4, "c"), "80|5|a"),
            ((70, 6, "d"), "70|6|d"),
        )
        for (balance, token, owner), row in steps:
            script.write_text(
                f"PREPARE guarded AS {' '.join(statement)}; EXECUTE guarded({balance}, {token}, '{owner}', 7);",
                encoding="utf-8",
            )
            psql = [postgres.program("psql"), "-X", "-v", "ON_ERROR_STOP=1"]
            # As the account that the server takes, which is not ours when we are root.
            self.household.run(
                [*psql, "-d", postgres.url("postgres"), "-f", str(script)], "the block", as_server_account=True
            )
            found = postgres.query("SELECT balance, fence, fence_owner FROM accounts").strip()
            if found != row:
                raise Failure(f"with token {token} of {owner} the row became {found}, not {row}")

    def cmake(self, block):
        project = self.folder / "project"
        prefix = self.folder / "prefix"
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir()
        programs = [each for each in self.options.blocks if each.language == "cpp"]
        (project / "main.cpp").write_text(programs[0].text, encoding="utf-8")
        (project / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.25)\nproject(app LANGUAGES CXX)\n{block.text}", encoding="utf-8"
        )
        run(["cmake", "--install", self.options.build, "--prefix", prefix])
        run(
            ["cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}"]
            + [f"-DCMAKE_CXX_COMPILER={self.options.compiler}"]
        )
        run(["cmake", "--build", project / "build"])
        if not any(os.access(each, os.X_OK) for each in (project / "build").glob("app")):
            raise Failure("it builds no program `app`")

    def targets(self, block):
        """Each line is a make target that exists."""
        for line in block.text.splitlines():
            words = line.split("#")[0].split()
            if words and words[0] != "make":
                raise Failure(f"'{line}' is not a call of make: only those are not run")
            # A target that is only declared has nothing to do, and that is no error.
            if words and re.match("^$|make: ", run(["make", "-n", *words[1:]], cwd=self.options.source)):
                raise Failure(f"'{' '.join(words)}' does nothing")

    def check(self, block):
        """How it was checked, or Failure."""
        for start, (why, check) in NOT_RUN.items():
            if block.first.startswith(start):
                getattr(self, check)(block)
                return f"not run: {why}"
        if block.language not in ("sh", "cpp", "python", "sql", "cmake"):
            raise Failure("nothing runs such a block: teach readme_test.py its language, or name it in NOT_RUN")
        getattr(self, block.language)(block)
        return "ran"


def main():
    parser = argparse.ArgumentParser()
    for name in ("--source", "--programs", "--bin", "--build", "--compiler"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(pathlib.Path(options.source) / "examples" / "demo"))
    # The demo's: a folder and servers that go with this process, however it ends.
    import household as demo  # pylint: disable=import-outside-toplevel,import-error
    import servers  # pylint: disable=import-outside-toplevel,import-error

    options.blocks = read_blocks(pathlib.Path(options.source) / "README.md")
    unused = [start for start in NOT_RUN if not any(each.first.startswith(start) for each in options.blocks)]
    failures = [f"NOT_RUN names '{start}', which is not in the README" for start in unused]
    household = demo.Household()
    try:
        runner = Runner(options, servers, household)
        for block in options.blocks:
            try:
                print(f"{block}: {runner.check(block)}", flush=True)
            except (Failure, demo.Trouble, OSError, subprocess.TimeoutExpired) as why:
                print(f"{block}: FAILED: {why}", flush=True)
                failures.append(str(block))
    finally:
        household.close()
    for each in failures:
        print(f"FAILED: {each}")
    print(f"{len(options.blocks)} blocks, {len(failures)} failures")
    return 1 if failures or not options.blocks else 0


if __name__ == "__main__":
    sys.exit(main())
