"""Sockets at full speed over 40 call paths before a single unwind rule is compiled: no stack may be missing."""

import json
import os
import subprocess
import time
import unittest

import harness

PATHS = 40
COUNT = os.environ.get("SOCKLEAK_COLD_START", "20000")  # sockets; fewer where the machine is emulated


def leaf_of(stack):
    """Which of the 40 paths a stack went through; None if it went through none."""
    for frame in stack["frames"]:
        if harness.bare(frame["function"]).startswith("leaf_"):
            return harness.bare(frame["function"])
    return None


def levels_of(stack):
    return sum(harness.bare(frame["function"]).startswith("path_") for frame in stack["frames"])


class ColdStart(unittest.TestCase):
    maxDiff = None

    def assert_no_stack_is_missing(self, report):
        harness.assert_promise_kept(self, report)
        for name in ("events_lost", *harness.STACK_LOSSES):
            self.assertEqual(0, harness.counter(report, name), f"{name}: {report['completeness']['counters']}")

    def paths_of(self, report):
        """Created and leaked sockets per path, after a look at every stack of every site."""
        paths = {}
        for site in report["sites"]:
            if site["origin"] == "before-attach":
                continue
            stack = site["created_at"]
            self.assertTrue(harness.is_whole(stack), f"{site['created']} sockets with\n{harness.show(stack)}")
            leaf = leaf_of(stack)
            if leaf is None:
                continue
            self.assertEqual({"file": "cold_start.c", "function": "dial"},
                             {key: harness.own_place(stack, "cold_start")[key] for key in ("file", "function")})
            path = paths.setdefault(leaf, {"created": 0, "leaked": 0})
            path["created"] += site["created"]
            path["levels"] = levels_of(stack)
        for finding in report["findings"]:
            if finding["origin"] == "before-attach":
                continue
            leaf = leaf_of(finding["created_at"])
            self.assertIsNotNone(leaf, harness.show(finding["created_at"]))
            paths[leaf]["leaked"] += finding["leaked"]
        return paths

    def print_slow_stacks(self, what, report, seconds):
        counters = report["completeness"]["counters"]
        print(f"\n{what}: {report['totals']['created']} sockets in {seconds:.2f} s; stacks: "
              + ", ".join(f"{name} {value}" for name, value in sorted(counters.items()) if "stack" in name),
              flush=True)

    def test_a_command_that_starts_at_full_speed(self):
        with harness.scratch() as directory:
            file = directory / "truth.json"
            began = time.monotonic()
            outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", "--", harness.PROGRAMS / "cold_start",
                                  "--count", COUNT, "--truth", file)
            seconds = time.monotonic() - began
            truth = json.loads(file.read_text())
        report = harness.parse_report(outcome)
        self.print_slow_stacks("check -- cold_start", report, seconds)
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        self.assert_no_stack_is_missing(report)
        self.assertEqual(truth["sockets_created"], report["totals"]["created"])
        self.assertEqual(truth["leaked"], report["totals"]["leaked"])
        self.assertEqual(truth["sockets_created"], sum(site["created"] for site in report["sites"]))
        expected = {path["function"]: {"created": path["created"], "leaked": path["leaked"],
                                       "levels": path["depth"] + 1} for path in truth["paths"]}
        self.assertEqual(expected, self.paths_of(report))

    def test_an_attach_in_the_middle_of_the_run(self):
        with harness.scratch() as directory:
            file = directory / "truth.json"
            control, to_program = os.pipe()
            from_program, signal = os.pipe()
            program = subprocess.Popen(
                [harness.PROGRAMS / "cold_start", "--control", str(control), "--signal", str(signal), "--count", COUNT,
                 "--truth", file],
                stdin=subprocess.DEVNULL, pass_fds=[control, signal])
            os.close(control)
            os.close(signal)
            try:
                harness.read_byte(from_program, "cold_start in full swing")
                tracer = harness.Tracer("-p", program.pid, "--json", "-v", "--older", "0s")
                began = time.monotonic()
                os.write(to_program, b"m")  # every socket from here on is made after `ready`
                harness.read_byte(from_program, "cold_start done")
                outcome = tracer.result(interrupt=True)
                seconds = time.monotonic() - began
            finally:
                os.close(to_program)  # lets the program end
                status = program.wait(harness.TIMEOUT)
                os.close(from_program)
            truth = json.loads(file.read_text())
        self.assertEqual(0, status)
        report = harness.parse_report(outcome)
        self.print_slow_stacks("trace -p cold_start", report, seconds)
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assert_no_stack_is_missing(report)

        # Attached somewhere before the mark: at least what came after it, at most everything.
        paths = self.paths_of(report)
        self.assertEqual(PATHS, len(paths))
        for since, total in zip(truth["since_mark"], truth["paths"]):
            path = paths[since["function"]]
            self.assertEqual(since["depth"] + 1, path["levels"])
            self.assertLessEqual(since["created"], path["created"], since["function"])
            self.assertLessEqual(path["created"], total["created"], since["function"])
            self.assertLessEqual(since["leaked"], path["leaked"], since["function"])
            self.assertLessEqual(path["leaked"], total["leaked"], since["function"])


if __name__ == "__main__":
    harness.main()
