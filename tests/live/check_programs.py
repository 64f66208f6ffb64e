"""`sockleak check` on programs with one known leak each: the count, the lines and the exit status are exact."""

import json
import unittest

import harness


def check(program, *options):
    with harness.scratch() as directory:
        truth = directory / "truth.json"
        outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", "--", harness.PROGRAMS / program, *options,
                              "--truth", truth)
        return outcome, harness.parse_report(outcome), json.loads(truth.read_text())


class CheckPrograms(unittest.TestCase):
    maxDiff = None

    def assert_complete(self, report):
        self.assertTrue(report["completeness"]["complete"], report["completeness"])
        self.assertEqual(0, harness.counter(report, "events_lost"))
        for name in harness.STACK_LOSSES:
            self.assertEqual(0, harness.counter(report, name), name)

    def assert_finding_is_the_truth(self, finding, truth):
        program = truth["program"]
        self.assertEqual("leak", finding["verdict"])
        self.assertIn("open-at-exit", [rule["rule"] for rule in finding["rules"]])
        self.assertEqual("tcp", finding["protocol"])
        self.assertEqual(truth["origin"], finding["origin"])
        self.assertEqual((truth["created"], truth["created"] - truth["leaked"], truth["leaked"]),
                         (finding["created"], finding["closed"], finding["leaked"]), "created, closed, leaked")
        stack = finding["created_at"]
        self.assertEqual(harness.true_place(truth["created_at"]), harness.own_place(stack, program),
                         harness.show(stack))
        self.assertTrue(harness.is_whole(stack), harness.show(stack))
        self.assertIn("main", [harness.bare(frame["function"]) for frame in stack["frames"]])

        closes = [close for close in finding["closed_at"] if close["how"] == "close"]
        self.assertCountEqual(
            [(harness.true_place(close), close["count"]) for close in truth["closed_at"]],
            [(harness.own_place(close["stack"], program), close["count"]) for close in closes],
            "\n".join(harness.show(close["stack"]) for close in closes))
        for close in closes:
            self.assertTrue(harness.is_whole(close["stack"]), harness.show(close["stack"]))
        if "listener_created_at" in truth:
            self.assertEqual(harness.true_place(truth["listener_created_at"]),
                             harness.own_place(finding["listener_created_at"], program))
        if "touched_at" in truth:
            self.assertEqual([(truth["leaked"], truth["touched_at"]["what"], harness.true_place(truth["touched_at"]))],
                             [(touch["count"], touch["what"], harness.own_place(touch["stack"], program))
                              for touch in finding["last_touched_at"]])
        self.assertEqual(truth["leaked"], sum(creator["count"] for creator in finding["creators"]))
        self.assertEqual(truth["leaked"], sum(finding["states"].values()), finding["states"])

    def test_a_leaking_program_is_named_to_the_line(self):
        for program in harness.LEAKY_PROGRAMS:
            with self.subTest(program=program):
                outcome, report, truth = check(program)
                self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
                self.assertEqual("sockleak.report/1", report["schema"])
                self.assert_complete(report)
                self.assertEqual(truth["sockets_created"], report["totals"]["created"])
                self.assertEqual(truth["leaked"], report["totals"]["leaked"])
                self.assertEqual(1, len(report["findings"]), [f["rules"] for f in report["findings"]])
                self.assert_finding_is_the_truth(report["findings"][0], truth)

    def test_the_repaired_program_is_clean(self):
        for program in harness.LEAKY_PROGRAMS:
            with self.subTest(program=program):
                outcome, report, truth = check(program, "--repaired")
                self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
                self.assert_complete(report)
                self.assertEqual([], report["findings"])
                self.assertEqual({"created": truth["sockets_created"], "closed": truth["sockets_created"], "open": 0,
                                  "leaked": 0, "ownerless": 0}, report["totals"])

    def test_a_site_has_the_same_fingerprint_in_every_run(self):
        sites = {check("connect_error_path")[1]["findings"][0]["site"] for _ in range(2)}
        self.assertEqual(1, len(sites), sites)

    def test_a_failing_command_keeps_its_exit_status(self):
        outcome = harness.run(harness.SOCKLEAK, "check", "-q", "--", "/bin/sh", "-c", "exit 7")
        self.assertEqual(7, outcome.returncode, outcome.stderr.decode())

    def test_the_exit_status_for_leaks_can_be_chosen(self):
        outcome = harness.run(harness.SOCKLEAK, "check", "--leak-exit-code", "42", "--json", "--",
                              harness.PROGRAMS / "connect_error_path", "--truth", "/dev/null")
        self.assertEqual(42, outcome.returncode, outcome.stderr.decode())


if __name__ == "__main__":
    harness.main()
