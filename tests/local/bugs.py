#!/usr/bin/env python3
"""Puts deliberate bugs into the local store, one at a time, and expects the tests of kills to find each.

    bugs.py [--build FOLDER] [NAME...]

Works on a copy of the tree. A bug counts as caught when the stepping test and the storm of random kills both
fail with it; both must pass without. Takes about two minutes a bug.
docs/kills.md says what was found.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Name: file, and pairs of what stands there and what the bug makes of it. Each stands there exactly once.
BUGS = {
    "repair_grants_nobody": (
        "src/local/line.cpp",
        ("        after.grant();\n        switch",
         "        if (wanted) {\n            after.grant();\n        }\n        switch"),
    ),
    "token_of_the_dead_again": (
        "src/local/line.cpp",
        ("        after.counter = before.counter + 1;",
         "        after.counter = before.counter + (purged ? 0 : 1);"),
    ),
    "hand_over_in_two_steps": (
        "src/local/hand_over.cpp",
        ("    if (!at.word.compare_exchange_strong(seen, sole_word(counter, next))) {\n        return std::nullopt;\n    }\n",
         "    at.word.store(free_word(counter));\n    sched_yield();\n    at.word.store(sole_word(counter, next));\n"),
        ("    const bool done = at.word.compare_exchange_strong(seen, line_word(head.counter + 1, index));",
         "    at.word.store(free_word(head.counter));\n    sched_yield();\n"
         "    at.word.store(line_word(head.counter + 1, index));\n    const bool done = true;"),
    ),
    "the_dead_live_on": (
        "src/local/line.cpp",
        ("        const bool living = pulse_of(each).living();", "        const bool living = true;"),
    ),
    "place_taken_without_sweeping": (
        "src/local/seat.cpp",
        ("    if (!sweep(in, slot_index, owner_of(slot_index, generation))) {\n        return false;\n    }\n", ""),
    ),
    "readers_do_not_queue": (
        "src/local/joining.cpp",
        ("    holds = now.claims.back().holds;",
         "    now.claims.back().holds = now.claims.back().holds || goes_without_cell;\n"
         "    holds = now.claims.back().holds;"),
    ),
    "reader_joins_in_two_steps": (
        "src/local/fast.cpp",
        ("        return join(ticket);\n    }\n\n    [[gnu::hot]]",
         "        if (tag_of(seen) == tag::reader) {\n            word_.store(free_word(sequence_of(seen)));\n"
         "            sched_yield();\n            word_.store(seen);\n        }\n"
         "        return join(ticket);\n    }\n\n    [[gnu::hot]]"),
    ),
    "reader_leaves_alone": (
        "src/local/fast.cpp",
        ("        return swap_out(ticket) || remove_claim(",
         "        if (tag_of(word_.load()) == tag::line) {\n            line now;\n"
         "            static_cast<void>(read_line(memory_, record_, now));\n"
         "            if (now.granted() == 1) {\n                word_.store(free_word(now.counter));\n"
         "                return true;\n            }\n        }\n"
         "        return swap_out(ticket) || remove_claim("),
    ),
}
TESTS = {"stepping": "*stepping*", "storm": "every/crash*"}


def copy_tree(into: pathlib.Path) -> None:
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    for name in names:
        source, target = ROOT / name, into / name
        if not source.is_file():
            continue
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue  # Not newer than what was built from it.
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


def build(tree: pathlib.Path) -> bool:
    command = ["scripts/build.sh", "-DHOLDFAST_TESTS=ON", "-DHOLDFAST_ETCD=OFF", "-DHOLDFAST_REDIS=OFF",
               "test_local", "local_worker", "local_step_worker"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode == 0


def passes(tree: pathlib.Path, which: str) -> tuple[bool, str]:
    """Whether the tests pass, and the first thing they complain of."""
    environment = dict(os.environ, HOLDFAST_STEP="lasting")
    try:
        done = subprocess.run([tree / "build/bin/test_local", f"--gtest_filter={which}", "--gtest_fail_fast"],
                              env=environment, capture_output=True, text=True, errors="replace", timeout=600)
    except subprocess.TimeoutExpired:
        return False, "it hangs"
    lines = done.stdout.splitlines()
    where = next((line.split("/")[-1].split(" ")[0] for line in lines if "[  FAILED  ]" in line and "/" in line), "")
    says = ""
    for number, line in enumerate(lines):
        if ": Failure" in line:
            says = " ".join(part.strip() for part in lines[number + 1:number + 4])
            break
    if done.returncode < 0:
        says = says or f"it died of signal {-done.returncode}"
    return done.returncode == 0, f"{where}: {says}"[:200]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-bugs")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these of: no_bug " + " ".join(BUGS))
    asked = parser.parse_args()
    missed = []
    for name in asked.names or ["no_bug", *BUGS]:
        copy_tree(asked.build)
        if name != "no_bug":
            file, *edits = BUGS[name]
            text = (asked.build / file).read_text()
            for there, bug in edits:
                if text.count(there) != 1:
                    print(f"{name}: {file} is not any more what the bug was written for", file=sys.stderr)
                    return 1
                text = text.replace(there, bug)
            (asked.build / file).write_text(text)
        if not build(asked.build):
            return 1
        for test, which in TESTS.items():
            good, says = passes(asked.build, which)
            expected = good == (name == "no_bug")
            print(f"{name}: {test}: {'passes' if good else says}{'' if expected else '  <-- NOT AS EXPECTED'}",
                  flush=True)
            if not expected:
                missed.append(f"{name} by {test}")
    copy_tree(asked.build)
    print("missed: " + ", ".join(missed) if missed else "every bug was caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
