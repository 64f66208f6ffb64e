"""`sockleak check` on Python programs, under every interpreter that is found: each Python frame with function, file and
line in the right order, the program's own line as the culprit, whoever called socket() for it."""

import glob
import json
import os
import re
import subprocess
import unittest

import harness

EVENT_LOOP = harness.REPOSITORY / "tests/programs/python/event_loop.py"
PROGRAM = harness.REPOSITORY / "tests/programs/python/error_path.py"
LOSSES = ("python_stacks_missed", "python_stacks_broken", "python_names_lost", "interpreters_unknown")
OLDEST, NEWEST = (3, 8), (3, 14)


def interpreters():
    """version -> path: Debian's, those that pyenv has made, and those of other suites that SOCKLEAK_NEW_PYTHON names
    (scripts/newer-python gets them). Asked, not guessed from the name."""
    found = {}
    home = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    for path in [*sorted(glob.glob("/usr/bin/python3*")), *sorted(glob.glob(f"{home}/versions/*/bin/python3")),
                 *os.environ.get("SOCKLEAK_NEW_PYTHON", "").split()]:
        if not re.search(r"/python3(\.\d+)?$", path):
            continue
        version = subprocess.run([path, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
                                 stdout=subprocess.PIPE, timeout=harness.TIMEOUT, check=True).stdout.decode().strip()
        if OLDEST <= tuple(map(int, version.split(".")[:2])) <= NEWEST:
            found.setdefault(version, path)
    return found


def check(python, *options, program=PROGRAM):
    with harness.scratch() as directory:
        truth = directory / "truth.json"
        outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", "--", python, program, "--truth", truth, *options)
        return outcome, harness.parse_report(outcome), json.loads(truth.read_text())


def python_frames(stack):
    return [harness.place(frame) for frame in stack["frames"] if frame["kind"] == "python"]


class PythonPrograms(unittest.TestCase):
    maxDiff = None

    def assert_nothing_lost(self, report):
        harness.assert_promise_kept(self, report)
        for name in (*LOSSES, *harness.STACK_LOSSES):
            self.assertEqual(0, harness.counter(report, name), name)

    def assert_stack_is_the_truth(self, stack, truth):
        """What is called inside the standard library is not the program's to know; from its call on, all is."""
        self.assertFalse(stack["truncated"], harness.show(stack))
        frames = python_frames(stack)
        expected = truth["stack"]
        self.assertEqual([(f["file"], f["line"], harness.bare(f["function"])) for f in expected],
                         [(f["file"], f["line"], f["function"]) for f in frames[-len(expected):]], harness.show(stack))
        for frame in stack["frames"]:
            if frame["kind"] == "python":
                self.assertTrue(frame["function"] and frame["file"] and frame["line"], frame)
        self.assertNotIn("_PyEval_EvalFrameDefault", [frame["function"] for frame in stack["frames"]])
        inner = [frame for frame in stack["frames"] if frame["kind"] == "python"][:-len(expected)]
        for frame in inner:
            self.assertIn("/lib/python3", frame["file"])

    def test_every_interpreter(self):
        found = interpreters()
        print("interpreters:", ", ".join(f"{version} ({path})" for version, path in found.items()))
        debian = subprocess.run(["/usr/bin/python3", "-c", "import platform; print(platform.python_version())"],
                                stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        self.assertIn(debian, found, "Debian's python3 must be among them")
        for version, python in found.items():
            for case in ("socket", "http.client", "urllib"):
                with self.subTest(version=version, case=case):
                    self.check_leaking(python, case)
                with self.subTest(version=version, case=case, repaired=True):
                    outcome, report, _ = check(python, "--case", case, "--repaired")
                    self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
                    self.assert_nothing_lost(report)
                    self.assertEqual([], report["findings"])

    def check_leaking(self, python, case):
        outcome, report, truth = check(python, "--case", case)
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        self.assert_nothing_lost(report)
        self.assertEqual(1, len(report["findings"]), [f["rules"] for f in report["findings"]])
        finding = report["findings"][0]
        self.assertEqual((truth["created"], truth["created"] - truth["leaked"], truth["leaked"], "connect"),
                         (finding["created"], finding["closed"], finding["leaked"], finding["origin"]))
        self.assert_stack_is_the_truth(finding["created_at"], truth["created_at"])
        if case == "socket":
            closes = [close for close in finding["closed_at"] if close["how"] == "close"]
            self.assertEqual(1, len(closes), [harness.show(close["stack"]) for close in closes])
            self.assert_stack_is_the_truth(closes[0]["stack"], truth["closed_at"][0])
            touches = finding["last_touched_at"]
            self.assertEqual([(truth["leaked"], "recv → data")], [(touch["count"], touch["what"]) for touch in touches])
            self.assert_stack_is_the_truth(touches[0]["stack"], truth["touched_at"])

    def test_an_event_loops_listener_is_named(self):
        """What it accepts is accepted by the loop: the program's own lines are where the listener was made."""
        for version, python in interpreters().items():
            with self.subTest(version=version):
                outcome, report, truth = check(python, program=EVENT_LOOP)
                self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
                self.assert_nothing_lost(report)
                accepted = [finding for finding in report["findings"] if finding["origin"] == "accept"]
                self.assertEqual(1, len(accepted), [f["rules"] for f in report["findings"]])
                finding, place = accepted[0], truth["listener_created_at"]
                self.assertEqual((truth["created"], truth["leaked"]), (finding["created"], finding["leaked"]))
                self.assertIn(harness.true_place(place), python_frames(finding["listener_created_at"]),
                              harness.show(finding["listener_created_at"]))
                self.assertNotIn(harness.true_place(place), python_frames(finding["created_at"]))
                self.assertIn("_accept_connection", " ".join(f["function"] or "" for f in finding["created_at"]["frames"]))
                self.assertEqual([(truth["leaked"], "recv → 0 (peer closed)")],
                                 [(touch["count"], touch["what"]) for touch in finding["last_touched_at"]])
                outcome, report, _ = check(python, "--repaired", program=EVENT_LOOP)
                self.assertEqual([], [f for f in report["findings"] if f["origin"] == "accept"])

    def test_the_culprit_is_the_programs_own_line(self):
        for case in ("socket", "http.client", "urllib"):
            with self.subTest(case=case), harness.scratch() as directory:
                truth = directory / "truth.json"
                outcome = harness.run(harness.SOCKLEAK, "check", "--", "/usr/bin/python3", PROGRAM, "--truth", truth,
                                      "--case", case)
                place = json.loads(truth.read_text())["created_at"]
                lines = outcome.stdout.decode().splitlines()
                first = lines[next(i for i, line in enumerate(lines) if "opened by" in line) + 1]
                self.assertRegex(first, re.escape(f"{place['function']} ") + ".*" +
                                 re.escape(f"{place['file']}:{place['line']}") + "$")

    def test_a_recording_repeats_the_names(self):
        with harness.scratch() as directory:
            recording = directory / "run.slk"
            live = harness.run(harness.SOCKLEAK, "check", "--json", "--record", recording, "--", "/usr/bin/python3",
                               PROGRAM, "--truth", directory / "truth.json")
            replay = harness.run(harness.SOCKLEAK, "report", recording, "--json")
            self.assertEqual(live.stdout.decode(), replay.stdout.decode())
            self.assertIn(b'"python"', replay.stdout)

    def test_a_keep_alive_pool_is_no_leak(self):
        read, write = os.pipe()
        program = subprocess.Popen(["/usr/bin/python3", PROGRAM, "--case", "pool"], stdin=read, stderr=subprocess.PIPE,
                                   text=True)
        os.close(read)
        try:
            harness.read_until(program.stderr, "warm", "error_path.py --case pool")
            tracer = harness.Tracer("-p", program.pid, "--json")
            outcome = tracer.result(interrupt=True)
            self.assertEqual([], [f for f in harness.parse_report(outcome)["findings"] if f["verdict"] == "leak"])
        finally:
            os.close(write)
            self.assertEqual(0, program.wait(harness.TIMEOUT))
            program.stderr.close()
        outcome = harness.run(harness.SOCKLEAK, "check", "--json", "--", "/usr/bin/python3", PROGRAM, "--case", "pool")
        self.assertEqual(0, outcome.returncode, outcome.stdout.decode())
        self.assertEqual([], harness.parse_report(outcome)["findings"])


if __name__ == "__main__":
    harness.main()
