"""What decides the exit status of `check`: --fail-on, --only, --warmup, --max-leaks; and `check -p PID -- CMD`, where the command
is the load for a server that goes on living."""

import contextlib
import json
import pathlib
import subprocess
import sys
import unittest

import harness
import servers

PROGRAM = harness.PROGRAMS / "thread_pool"
CLIENT = (sys.executable, str(pathlib.Path(servers.__file__).resolve()), "--client")
BAD = servers.REQUESTS.count("B")


@contextlib.contextmanager
def server(*options):
    process = subprocess.Popen([PROGRAM, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    one = servers.Server(process)
    try:
        yield one
    finally:
        one.end()


def check(one, *options, load=None):
    """The outcome of a session in which the server is judged, and the command loads it."""
    load = load or (*CLIENT, str(one.port), servers.REQUESTS, "0")
    return harness.run(harness.SOCKLEAK, "check", "-q", "--older", "1ms", "-p", str(one.process.pid), *options, "--", *load)


def report_of(outcome):
    """The load says "done" first, on the same standard output."""
    text = outcome.stdout.decode()
    return json.loads(text[text.index("{"):])


class CheckWithALoad(unittest.TestCase):
    def test_the_target_is_judged_and_lives_on(self):
        with server() as one:
            outcome = check(one, "--json", "-v")
            report = report_of(outcome)
            truth = one.truth()
            self.assertIsNone(one.process.poll())
            self.assertEqual(truth["leaked"], BAD)
            self.assertEqual(1, outcome.returncode)
            leaks = [finding for finding in report["findings"] if finding["verdict"] == "leak"]
            self.assertEqual([(BAD, harness.true_place(truth["created_at"]))],
                             [(leak["leaked"], harness.own_place(leak["created_at"], PROGRAM.name)) for leak in leaks])
            self.assertEqual(("pid", [one.process.pid], 0),
                             (report["target"]["kind"], report["target"]["pids"], report["target"]["exit_status"]))
            self.assertEqual(str(CLIENT[0]), report["target"]["command"][0])
            # The client's own sockets are nobody's business.
            self.assertEqual({"accept"}, {site["origin"] for site in report["sites"] if site["created"] > 1})

    def test_a_load_that_fails_passes_its_status_on(self):
        with server("--repaired") as one:
            self.assertEqual(7, check(one, load=("sh", "-c", "exit 7")).returncode)
            self.assertEqual(127, check(one, load=("/no/such/load",)).returncode)
            self.assertEqual(0, check(one, load=("true",)).returncode)
            self.assertIsNone(one.process.poll())

    def test_a_load_without_leaks_is_a_success(self):
        with server("--repaired") as one:
            outcome = check(one, "--json")
            self.assertEqual((0, 0), (outcome.returncode, report_of(outcome)["totals"]["leaked"]))

    def test_what_counts(self):
        for options, status, counted in (((), 1, BAD), (("--only", "growth"), 0, 0), (("--only", "growth,close-wait"), 1, BAD),
                                         (("--max-leaks", str(BAD)), 0, BAD), (("--max-leaks", str(BAD - 1)), 1, BAD),
                                         (("--fail-on", "suspect"), 1, BAD), (("--leak-exit-code", "42"), 42, BAD)):
            with self.subTest(options), server() as one, harness.scratch() as directory:
                file = directory / "a.slk"
                outcome = check(one, "--json", "--record", file, *options)
                report = report_of(outcome)
                self.assertEqual((status, counted), (outcome.returncode, report["counting"]["counted"]))
                self.assertEqual(BAD, report["totals"]["leaked"], "it is found all the same")
                again = harness.run(harness.SOCKLEAK, "report", "--json", file)
                self.assertEqual((status, report), (again.returncode, json.loads(again.stdout)))

    def test_what_the_warmup_opened_is_left_out(self):
        with server() as one:
            outcome = check(one, "--json", "--warmup", "1h")
            report = report_of(outcome)
            self.assertEqual((0, BAD), (outcome.returncode, report["counting"]["left_out"]))
            self.assertEqual([], [finding for finding in report["findings"] if finding["leaked"]])
        with server() as one:
            text = check(one, "--warmup", "1h").stdout.decode()
            self.assertIn(f"{BAD} accused sockets were left out: opened before the warm-up of 1 h was over", text)

    def test_an_unknown_rule_is_refused_with_those_there_are(self):
        outcome = harness.run(harness.SOCKLEAK, "check", "--only", "leak", "--", "true")
        self.assertEqual(2, outcome.returncode)
        self.assertIn("close-wait", outcome.stderr.decode())


if __name__ == "__main__":
    harness.main()
