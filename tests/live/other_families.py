"""Sockets of families that nobody follows: counted by family where they were left open, in `check`, `trace` and `scan`."""

import json
import subprocess
import unittest

import harness

PROGRAM = harness.PROGRAMS / "other_families"
LINE = "60 sockets of families that are not followed (netlink) were left open"


class OtherFamilies(unittest.TestCase):
    def test_check_counts_what_the_end_of_the_process_closed(self):
        report = harness.parse_report(harness.run(harness.SOCKLEAK, "check", "--json", "-q", "--", PROGRAM))
        self.assertEqual([{"family": "netlink", "count": 60}], report["other_families"])
        outcome = harness.run(harness.SOCKLEAK, "check", "-q", "--", PROGRAM)
        self.assertIn(LINE, outcome.stdout.decode().splitlines())
        self.assertIn("data complete for what is followed", outcome.stdout.decode())

    def test_a_recording_keeps_the_count(self):
        with harness.scratch() as directory:
            file = directory / "a.slk"
            live = harness.run(harness.SOCKLEAK, "check", "--json", "-q", "--record", file, "--", PROGRAM)
            again = harness.run(harness.SOCKLEAK, "report", "--json", file)
            self.assertEqual((live.stdout, live.returncode), (again.stdout, again.returncode))

    def test_a_program_without_any_has_no_line(self):
        report = harness.parse_report(harness.run(harness.SOCKLEAK, "check", "--json", "-q", "--", "true"))
        self.assertEqual([], report["other_families"])

    def test_trace_and_scan_count_what_is_held(self):
        process = subprocess.Popen([PROGRAM, "stay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            truth = json.loads(process.stdout.readline())
            traced = harness.Tracer("-p", process.pid, "--json", "-q")
            report = harness.parse_report(traced.result(interrupt=True))
            self.assertEqual([{"family": "netlink", "count": truth["netlink"]}], report["other_families"])
            if not harness.searches_through_bpf():
                self.skipTest("scan asks sock_diag here, which does not tell")
            outcome = harness.run(harness.SOCKLEAK, "scan", "--json", f"pid = {process.pid}")
            others = json.loads(outcome.stdout)["other_families"]
            self.assertEqual(truth["netlink"] + truth["unix"], others["count"])
            self.assertEqual({"netlink": truth["netlink"], "unix": truth["unix"]},
                             {one["family"]: one["count"] for one in others["families"]})
            self.assertEqual([(process.pid, "other_families")], [(one["pid"], one["comm"]) for one in others["holders"]])
            text = harness.run(harness.SOCKLEAK, "scan", f"pid = {process.pid}").stdout.decode()
            self.assertIn("120 sockets of families that are not judged: 60 netlink, 60 unix", " ".join(text.split()))
            self.assertNotIn("\n0 sockets", text)
        finally:
            harness.end(process)

    def test_scan_says_what_a_full_table_of_descriptors_is_full_of(self):
        if not harness.searches_through_bpf():
            self.skipTest("scan asks sock_diag here, which does not tell")
        process = subprocess.Popen(["prlimit", "--nofile=130", PROGRAM, "stay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        try:
            process.stdout.readline()
            text = harness.run(harness.SOCKLEAK, "scan", f"pid = {process.pid}").stdout.decode()
            self.assertIn("of 130, among them 60 netlink, 60 unix sockets", " ".join(text.split()))
        finally:
            harness.end(process)


if __name__ == "__main__":
    harness.main()
