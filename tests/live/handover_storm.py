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
        """A preemptible kernel leaves hooks out and counts them: for each, one thing may not be known. Never is one wrong."""
        skipped = missing = harness.counter(report, "hooks_skipped")
        harness.assert_promise_kept(self, report)
        holders, creators = {}, {}
        for held in truth["held"]:
            creators[held["cookie"]] = held["creator"]
            holders.setdefault(held["cookie"], {})[held["pid"], held["fd"]] = held["handed_over"]
        opened = {sock["cookie"]: sock for sock in report["open_sockets"]}
        self.assertEqual(set(), set(opened) - set(holders))
        missing -= len(set(holders) - set(opened))
        for cookie, sock in opened.items():
            seen = {(h["pid"], h["fd"]): h["handed_over"] or "" for h in sock["holders"]}
            unseen = {where for where, way in seen.items() if way == "unknown" != holders[cookie].get(where)}
            missing -= len(unseen) + (sock["creator"] is None)
            self.assertEqual(holders[cookie] | dict.fromkeys(unseen, "unknown"), seen, sock)
            if sock["creator"] is not None:
                self.assertEqual(creators[cookie], sock["creator"]["pid"], sock)
        self.assertGreaterEqual(missing, 0)
        totals = report["totals"]
        for name, true in (("created", truth["created"]), ("closed", truth["created"] - len(holders)), ("open", len(holders))):
            self.assertLessEqual(abs(true - totals[name]), skipped, (name, true, totals))
        self.assertEqual((0, 0), (totals["leaked"], totals["ownerless"]))
        self.assertEqual([], [finding["rules"] for finding in report["findings"]])
        print(f"{truth['created']} sockets, {len(holders)} open, {len(truth['held'])} descriptors")


if __name__ == "__main__":
    if "--sockets" in sys.argv:
        at = sys.argv.index("--sockets")
        Storm.sockets = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    harness.main()
