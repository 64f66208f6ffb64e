"""`sockleak check` and `trace` on clients of libraries that nobody here wrote: the caller's line is the culprit, not the
library's, and a connection that a handle keeps for the next request is no leak."""

import collections
import json
import re
import subprocess
import unittest

import harness
from real_programs import postgresql

CURL, PQ = harness.PROGRAMS / "curl_client", harness.PROGRAMS / "pq_client"


def own_place(stack, truth):
    """The innermost frame in the program's own module."""
    return harness.own_place(stack, truth["program"])


class ClientLibraries(unittest.TestCase):
    maxDiff = None

    def check(self, program, *options, form="--json"):
        with harness.scratch() as directory:
            truth = directory / "truth.json"
            outcome = harness.run(harness.SOCKLEAK, "check", form, "--", program, *options, "--truth", truth)
            self.assertTrue(truth.exists(), outcome.stderr.decode())
            return outcome, json.loads(truth.read_text())

    def assert_the_caller_is_named(self, program, *options):
        outcome, truth = self.check(program, *options)
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        report = harness.parse_report(outcome)
        harness.assert_promise_kept(self, report)
        leaked = collections.Counter()
        for finding in report["findings"]:
            leaked[finding["origin"]] += finding["leaked"]
        # libcurl has a pair of unix sockets for each handle, too, by which its threads wake each other.
        self.assertEqual(truth["leaked"], leaked.pop("connect"), report["findings"])
        self.assertIn(leaked, ({}, {"socketpair": 2 * truth["leaked"]}))
        for finding in report["findings"]:
            stack = finding["created_at"]
            self.assertTrue(harness.is_whole(stack), harness.show(stack))
            self.assertEqual(harness.true_place(truth["created_at"]), own_place(stack, truth), harness.show(stack))
            for close in finding["closed_at"]:
                if close["how"] == "close":
                    self.assertEqual(harness.true_place(truth["closed_at"][0]), own_place(close["stack"], truth),
                                     harness.show(close["stack"]))
        self.assertTrue(any(finding["closed_at"] for finding in report["findings"]))

        outcome, truth = self.check(program, *options, form="--no-color")
        lines = outcome.stdout.decode().splitlines()
        first = lines[next(i for i, line in enumerate(lines) if "opened by" in line) + 1]
        place = truth["created_at"]
        self.assertRegex(first, rf"\b{re.escape(place['function'])} .*{re.escape(place['file'])}:{place['line']}$")

        outcome, _ = self.check(program, *options, "--repaired")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assertEqual([], harness.parse_report(outcome)["findings"])

    def assert_a_kept_connection_is_no_leak(self, program, *options):
        with harness.scratch() as directory:
            client = subprocess.Popen([program, "--pool", "--wait", *options, "--truth", directory / "truth.json"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                harness.read_line(client.stdout, "ready", program.name)
                tracer = harness.Tracer("-p", client.pid, "--json")
                client.stdin.write("\n")
                client.stdin.flush()
                harness.read_line(client.stdout, "done", program.name)
                report = harness.parse_report(tracer.result(interrupt=True))
                self.assertGreater(report["totals"]["open"], 0)
                self.assertEqual([], [f for f in report["findings"] if f["verdict"] in ("leak", "suspect")])
            finally:
                client.stdin.close()
                client.wait(harness.TIMEOUT)
                client.stdout.close()

    @unittest.skipUnless(CURL.exists(), "install libcurl4-openssl-dev")
    def test_libcurl(self):
        self.assert_the_caller_is_named(CURL)
        self.assert_a_kept_connection_is_no_leak(CURL)

    @unittest.skipUnless(PQ.exists(), "install libpq-dev")
    def test_libpq(self):
        with postgresql() as (_, port):
            self.assert_the_caller_is_named(PQ, "--port", str(port))
            self.assert_a_kept_connection_is_no_leak(PQ, "--port", str(port))


if __name__ == "__main__":
    harness.main()
