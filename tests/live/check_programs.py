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


class CheckPrograms(harness.TruthTest):
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
