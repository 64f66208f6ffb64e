"""The truth at scale: 50 processes open and close 200 000 sockets in random order, pass them on, take and duplicate them.
Afterwards sockleak's table is the program's, holder for holder, and nothing is accused. `--sockets N` for another size."""

import json
import subprocess
import sys
import unittest

import harness

PROGRAM = harness.PROGRAMS / "handover_storm"
SEED = 20240611


class Storm(unittest.TestCase):
    sockets = 200_000

    def test_the_table_is_the_truth(self):
        with harness.scratch() as directory:
            truth_file = directory / "truth.json"
            storm = subprocess.Popen([PROGRAM, "--sockets", str(self.sockets), "--seed", str(SEED), "--truth", truth_file],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                self.assertEqual("ready\n", storm.stdout.readline())
                # The sockets that were never connected would be `invisible` by their age alone; that is tested elsewhere.
                # Its own unix sockets, over which it passes them, are not in the truth.
                tracer = harness.Tracer("-p", storm.pid, "--json", "-v", "-q", "--older", "1h", "-t", "tcp,udp")
                storm.stdin.write("\n")
                storm.stdin.flush()
                self.assertEqual("done\n", storm.stdout.readline())
                report = harness.parse_report(tracer.result(interrupt=True))
                truth = json.loads(truth_file.read_text())
            finally:
                storm.stdin.close()  # it ends itself and all that it started
                storm.wait(harness.TIMEOUT)
                storm.stdout.close()
        self.compare(truth, report)

    def compare(self, truth, report):
        self.assertTrue(report["completeness"]["complete"], report["completeness"])
        holders, creators = {}, {}
        for held in truth["held"]:
            creators[held["cookie"]] = held["creator"]
            holders.setdefault(held["cookie"], set()).add((held["pid"], held["fd"], held["handed_over"]))
        opened = {sock["cookie"]: sock for sock in report["open_sockets"]}
        self.assertEqual(set(holders), set(opened))
        ways_missed = 0
        for cookie, sock in opened.items():
            seen = {(h["pid"], h["fd"]): h["handed_over"] or "" for h in sock["holders"]}
            told = {(pid, fd): way for pid, fd, way in holders[cookie]}
            missed = {where for where, way in seen.items() if way == "unknown" != told.get(where)}
            ways_missed += len(missed)
            told.update(dict.fromkeys(missed, "unknown"))
            self.assertEqual((creators[cookie], told), (sock["creator"]["pid"], seen), sock)
        # A preemptible kernel leaves hooks out; that a descriptor was received is known from one alone.
        self.assertLessEqual(ways_missed, harness.counter(report, "hooks_skipped"))
        self.assertEqual({"created": truth["created"], "closed": truth["created"] - len(holders), "open": len(holders),
                          "leaked": 0, "ownerless": 0}, report["totals"])
        self.assertEqual([], [finding["rules"] for finding in report["findings"]])
        print(f"{truth['created']} sockets, {len(holders)} open, {len(truth['held'])} descriptors")


if __name__ == "__main__":
    if "--sockets" in sys.argv:
        at = sys.argv.index("--sockets")
        Storm.sockets = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    harness.main()
