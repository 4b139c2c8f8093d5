"""The demo keeps what it promises, and leaves nothing behind. Run by ctest: --store NAME --bin FOLDER."""

import argparse
import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import run  # noqa: E402
import timeline  # noqa: E402
from events import History  # noqa: E402

OPTIONS = argparse.Namespace(store="local", bin="build/bin")


class ADemo(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="demo-")
        os.chmod(self.folder, 0o711)  # as root the demo's PostgreSQL runs under another account
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *more):
        return subprocess.Popen(
            [
                sys.executable,
                os.path.join(HERE, "run.py"),
                "--store",
                OPTIONS.store,
                "--bin",
                OPTIONS.bin,
                "--out",
                os.path.join(self.folder, "out"),
                *more,
            ],
            env={**os.environ, "TMPDIR": self.folder, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for_line(self, demo, beginning):
        """Reads on until a line begins so; the demo is in that phase then."""
        for line in demo.stdout:
            if line.strip().startswith(beginning):
                return
        self.fail(f"the demo ended before it said '{beginning}'")

    def assert_nothing_is_left(self, bound_s):
        give_up = time.monotonic() + bound_s
        while (left := self.what_is_left()) and time.monotonic() < give_up:
            time.sleep(0.05)
        self.assertEqual(left, [])

    def what_is_left(self):
        return glob.glob(os.path.join(self.folder, "holdfast-demo-*")) + [
            f"process {pid}" for pid in processes_that_mention(self.folder)
        ]

    def test_nobody_is_refused_with_the_gate_and_the_nightly_job_runs_once(self):
        figures_file = os.path.join(self.folder, "figures.json")
        demo = self.start("--seconds", "3", "--json", figures_file)
        said, _ = demo.communicate(timeout=60)
        self.assertEqual(demo.returncode, 0, said)
        self.assertEqual("has been killed" in said, OPTIONS.store != "local", said)
        with open(figures_file, encoding="utf-8") as file:
            figures = json.load(file)
        without, gated = figures["without"], figures["with"]
        self.assertGreater(without["refused_by_server_log"], 0)
        self.assertGreater(without["transactions"], 0)
        self.assertEqual(gated["refused"], 0)
        self.assertEqual(gated["refused_by_server_log"], 0)
        self.assertGreater(gated["transactions"], 0)
        self.assertEqual(gated["lost_holds"], 0)
        self.assertEqual(gated["transactions"], gated["committed_in_database"])
        self.assertLessEqual(gated["peak_in_use"], run.CONNECTIONS)
        self.assertEqual(gated["nightly_runs"], 1)
        self.assertEqual(gated["reports_in_database"], 1)
        with open(figures["picture"], encoding="utf-8") as file:
            picture = file.read()
        self.assertEqual(
            picture.count('<rect class="held"'), without["transactions"] + gated["transactions"] + 1
        )  # and one in the legend
        self.assert_nothing_is_left(bound_s=0.5)

    def test_ctrl_c_ends_everything_at_once(self):
        for phase, seconds in (("without", "60"), ("with ", "4")):
            with self.subTest(phase=phase):
                demo = self.start("--seconds", seconds)
                self.wait_for_line(demo, phase)
                begin = time.monotonic()
                demo.send_signal(signal.SIGINT)
                time.sleep(0.05)
                with contextlib.suppress(ProcessLookupError):
                    demo.send_signal(signal.SIGINT)  # an impatient second one does no harm
                demo.communicate(timeout=20)
                # Long before the first phase is over, also where other tests need the machine.
                self.assertLess(time.monotonic() - begin, 15.0)
                self.assertEqual(demo.returncode, 130)
                self.assert_nothing_is_left(bound_s=0.5)

    def test_a_killed_demo_leaves_nothing_either(self):
        demo = self.start("--seconds", "3")
        self.wait_for_line(demo, "without")
        demo.kill()
        demo.communicate(timeout=20)
        self.assert_nothing_is_left(bound_s=10)

    def test_a_missing_program_is_named_with_its_remedy(self):
        demo = self.start("--bin", self.folder)
        said, _ = demo.communicate(timeout=20)
        self.assertEqual(demo.returncode, 2)
        self.assertIn("pool_service is missing; `make demo` builds it", said)
        self.assert_nothing_is_left(bound_s=0.5)


class AVerdict(unittest.TestCase):
    GOOD = {
        "refused": 0,
        "refused_by_server_log": 0,
        "peak_in_use": 10,
        "nightly_runs": 1,
        "reports_in_database": 1,
        "failures": 0,
        "unclean_ends": 0,
        "first_failure": "",
        "transactions": 7,
        "committed_in_database": 7,
        "money_in_database": run.ACCOUNTS * run.START_BALANCE,
    }
    CROWDED = {**GOOD, "refused": 5, "refused_by_server_log": 5, "nightly_runs": 4, "reports_in_database": 4}

    def test_is_good_when_only_the_ungated_services_were_refused(self):
        self.assertEqual(run.judge(self.CROWDED, self.GOOD), [])

    def test_names_every_broken_promise(self):
        for broken in (
            {"refused": 1},
            {"refused_by_server_log": 1},
            {"peak_in_use": 11},
            {"nightly_runs": 2},
            {"nightly_runs": 0, "reports_in_database": 0},
            {"reports_in_database": 2},
            {"failures": 1},
            {"unclean_ends": 1},
            {"transactions": 8},
            {"money_in_database": 99},
        ):
            with self.subTest(broken=broken):
                self.assertEqual(len(run.judge(self.CROWDED, {**self.GOOD, **broken})), 1)

    def test_is_bad_when_nobody_was_refused_without_the_gate(self):
        self.assertEqual(len(run.judge(self.GOOD, self.GOOD)), 1)


class AHistory(unittest.TestCase):
    def test_a_wait_goes_from_the_last_end_to_the_next_connection_over_all_refusals(self):
        history = History(gated=False, services=1, workers=1, begin=100.0)
        for line in (
            "100.100000 service-1 worker-1 refused FATAL:  sorry, too many clients already",
            "100.300000 service-1 worker-1 connected token=0",
            "100.400000 service-1 worker-1 committed ",
            "100.450000 service-1 worker-1 connected token=0",
            "100.500000 service-1 worker-1 committed ",
        ):
            history.read(line)
        figures = history.figures()
        self.assertEqual([round(wait, 3) for wait in history.waits], [0.3, 0.05])
        self.assertEqual((figures["transactions"], figures["refused"], figures["peak_in_use"]), (2, 1, 1))

    def test_a_line_it_does_not_know_counts_as_a_failure(self):
        history = History(gated=True, services=1, workers=1, begin=100.0)
        history.read("100.2 service-1 worker-1 failed server closed the connection unexpectedly")
        history.read("terminate called")
        self.assertEqual(history.figures()["failures"], 2)


class APicture(unittest.TestCase):
    def test_shows_when_the_accident_was(self):
        history = History(gated=True, services=1, workers=1, begin=100.0)
        history.read("100.100000 service-1 worker-1 connected token=7")
        history.read("108.000000 service-1 worker-1 committed ")
        history.accident, history.accident_at = "the <leader> has been killed", 104.0
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "picture.svg")
            timeline.write(path, "", [("With", "fine", True, history)], 10)
            picture = xml.etree.ElementTree.parse(path)
        svg = "{http://www.w3.org/2000/svg}"
        texts = [text.text for text in picture.iter(f"{svg}text")]
        self.assertIn(history.accident, texts)
        (line,) = (path for path in picture.iter(f"{svg}path") if path.get("class") == "accident")
        middle = timeline.LEFT + (timeline.WIDTH - timeline.LEFT - timeline.RIGHT) / 2
        self.assertTrue(line.get("d").startswith(f"M{middle:.1f} "))


def processes_that_mention(text):
    """Process ids whose command, environment or working folder has the text, the caller apart."""
    found = []
    for folder in glob.glob("/proc/[0-9]*"):
        if int(os.path.basename(folder)) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if text in os.readlink(os.path.join(folder, "cwd")):
                found.append(os.path.basename(folder))
                continue
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb") as file:
                if text.encode() in file.read():
                    found.append(os.path.basename(folder))
                    break
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default=OPTIONS.store)
    parser.add_argument("--bin", default=OPTIONS.bin)
    parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=sys.argv[:1], verbosity=2)
