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
PROGRAM, CLIENT, SERVER = (harness.REPOSITORY / "tests/programs/node" / name
                           for name in ("error_path.js", "http_client.js", "server.js"))
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
            # The runtimes have unix sockets of their own.
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


def check(command):
    """The same program, born under `sockleak check` and ended before anybody has read its stacks."""
    with harness.scratch() as directory:
        truth = directory / "truth.json"
        out = directory / "report.json"
        arguments = [truth if word == "TRUTH" else word for word in command]
        checked = subprocess.Popen(harness.with_hooks([harness.SOCKLEAK, "check", "--json", "-o", out, "--", *arguments]),
                                   cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            harness.read_line(checked.stdout, "ready", arguments[0])
            checked.stdin.write("\n")
            checked.stdin.flush()
            harness.read_line(checked.stdout, "done", arguments[0])
            checked.stdin.close()
            checked.wait(harness.TIMEOUT)
            report = json.loads(out.read_text())
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"/tmp/perf-{report['target']['pids'][0]}.map")
            return checked.returncode, report, json.loads(truth.read_text())
        finally:
            harness.end(checked)


def connects(report, origin="connect"):
    """Whatever closes them: V8 compiles a function after some calls, so that one line of source is several sites."""
    return [finding for finding in report["findings"] if finding["origin"] == origin and finding["leaked"]]


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
            self.assertIn("a later turn of its loop", finding["caller_why"])

    def test_a_program_that_begins_and_ends_under_check(self):
        status, report, truth = check([NODE, *NAMED, PROGRAM, "--truth", "TRUTH"])
        self.assertEqual(1, status)
        found = connects(report)
        self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in found))
        place, touched, closed = truth["created_at"], 0, 0
        for finding in found:
            self.assert_whole(finding["created_at"])
            self.assertIn((place["function"], place["file"]),
                          [(frame["function"], frame["file"]) for frame in finding["created_at"]["frames"]])
            for touch in finding["last_touched_at"]:
                self.assert_whole(touch["stack"])
                self.assertEqual("recv → 0 (peer closed)", touch["what"])
                touched += touch["count"]
            here = 0  # siblings of one place are shown with each way to it
            for close in finding["closed_at"]:
                self.assert_whole(close["stack"])
                # The map knows a function's first line, and no other.
                self.assertIn(truth["closed_at"], [{"file": frame["file"], "function": frame["function"]}
                                                   for frame in close["stack"]["frames"]], harness.show(close["stack"]))
                here += close["count"]
            closed = max(closed, here)
        self.assertEqual((truth["leaked"], truth["created"] - truth["leaked"]), (touched, closed))
        status, report, _ = check([NODE, *NAMED, PROGRAM, "--truth", "TRUTH", "--repaired"])
        self.assertEqual([], connects(report))

    def test_a_forgotten_http_response(self):
        outcome, truth = trace([NODE, *NAMED, CLIENT, "--truth", "TRUTH"])
        found = connects(harness.parse_report(outcome))
        self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in found), outcome.stderr.decode())
        for finding in found:
            self.assert_whole(finding["created_at"])
            self.assertIn("node:net", [frame["file"] for frame in finding["created_at"]["frames"]])
            self.assertIn("a later turn of its loop", finding["caller_why"])
        outcome, truth = trace([NODE, *NAMED, CLIENT, "--truth", "TRUTH"], form="-q")
        self.assertIn(b"called from  an unknown place: Node connects in a later turn of its loop", outcome.stdout)
        outcome, _ = trace([NODE, *NAMED, CLIENT, "--truth", "TRUTH", "--repaired"])
        self.assertEqual([], connects(harness.parse_report(outcome)), outcome.stdout.decode())

    def test_an_agents_pool_is_no_leak(self):
        outcome, truth = trace([NODE, *NAMED, CLIENT, "--truth", "TRUTH", "--pool"])
        report = harness.parse_report(outcome)
        self.assertGreaterEqual(report["totals"]["open"], truth["created"])
        self.assertEqual([], [f for f in report["findings"] if f["verdict"] in ("leak", "suspect")], outcome.stdout.decode())

    def test_what_is_accepted_has_the_listeners_stack(self):
        outcome, truth = trace([NODE, *NAMED, SERVER, "--truth", "TRUTH"])
        found = connects(harness.parse_report(outcome), "accept")
        self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in found), outcome.stderr.decode())
        place = truth["listener_created_at"]
        for finding in found:
            named = [frame for frame in finding["listener_created_at"]["frames"] if frame["function"] == place["function"]]
            self.assertEqual([place["file"]], [harness.base_name(frame["file"]) for frame in named],
                             harness.show(finding["listener_created_at"]))
            self.assertNotIn(place["function"], [frame["function"] for frame in finding["created_at"]["frames"]])
            self.assertNotIn("caller_why", finding)
        outcome, _ = trace([NODE, *NAMED, SERVER, "--truth", "TRUTH"], form="-q")
        self.assertRegex(outcome.stdout.decode(), "listener +created in  openListener ")
        outcome, _ = trace([NODE, *NAMED, SERVER, "--truth", "TRUTH", "--repaired"])
        self.assertEqual([], connects(harness.parse_report(outcome), "accept"), outcome.stdout.decode())

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
