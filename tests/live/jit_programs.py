"""Programs of runtimes that make code while they run: native frames always, names through the perf map, the way to get
them where it is missing."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import unittest

import harness

NODE = shutil.which("node")
PROGRAM = harness.REPOSITORY / "tests/programs/node/error_path.js"
NAMED = ("--perf-basic-prof", "--interpreted-frames-native-stack")


def trace(command, *, prepare=lambda pid: None, form="--json"):
    """`command` is a program's; it says "ready", waits for a line, works, says "done" and lives until all is told: its
    code and its perf map are read while it does."""
    with harness.scratch() as directory:
        truth = directory / "truth.json"
        arguments = [truth if word == "TRUTH" else word for word in command]
        program = subprocess.Popen(arguments, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            harness.read_line(program.stdout, "ready", arguments[0])
            prepare(program.pid)
            tracer = harness.Tracer("-p", program.pid, "--older", "0s", form)
            program.stdin.write("\n")
            program.stdin.flush()
            harness.read_line(program.stdout, "done", arguments[0])
            outcome = tracer.result(interrupt=True)
            return outcome, json.loads(truth.read_text())
        finally:
            program.stdin.close()
            program.wait(harness.TIMEOUT)
            program.stdout.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"/tmp/perf-{program.pid}.map")


def connects(report):
    """Whatever closes them: V8 compiles a function after some calls, so that one line of source is several sites."""
    return [finding for finding in report["findings"] if finding["origin"] == "connect" and finding["leaked"]]


@unittest.skipUnless(NODE, "there is no node")
class Node(unittest.TestCase):
    def assert_whole(self, stack):
        self.assertFalse(stack["truncated"], harness.show(stack))
        self.assertTrue(harness.is_whole(stack), harness.show(stack))

    def test_functions_are_named_through_the_perf_map(self):
        outcome, truth = trace([NODE, *NAMED, PROGRAM, "--truth", "TRUTH"])
        report = harness.parse_report(outcome)
        found = connects(report)
        self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in found), outcome.stderr.decode())
        for finding in found:
            stack = finding["created_at"]
            self.assert_whole(stack)
            named = {(frame["function"], frame["file"]): frame for frame in stack["frames"] if frame["kind"] == "node"}
            place = truth["created_at"]
            self.assertIn((place["function"], place["file"]), named, harness.show(stack))
            self.assertTrue(named[place["function"], place["file"]]["line"])

    def test_without_a_map_stacks_are_whole_and_the_report_says_what_would_name_them(self):
        outcome, truth = trace([NODE, PROGRAM, "--truth", "TRUTH"])
        found = connects(harness.parse_report(outcome))
        self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in found), outcome.stderr.decode())
        for finding in found:
            self.assert_whole(finding["created_at"])
        hint = b"--perf-basic-prof --interpreted-frames-native-stack"
        self.assertIn(hint, trace([NODE, PROGRAM, "--truth", "TRUTH"], form="-q")[0].stdout)
        self.assertNotIn(hint, trace([NODE, *NAMED, PROGRAM, "--truth", "TRUTH"], form="-q")[0].stdout)

    def test_the_repaired_program_leaks_no_connection(self):
        outcome, _ = trace([NODE, *NAMED, PROGRAM, "--truth", "TRUTH", "--repaired"])
        self.assertEqual([], connects(harness.parse_report(outcome)), outcome.stdout.decode())


if __name__ == "__main__":
    if NODE is None:
        print("skipped: there is no node")
        sys.exit(harness.SKIPPED)
    harness.main()
