"""A server and a client that do everything through io_uring: nothing is missed, and the line that submitted the request is
named, whether the ring gives them descriptors or keeps the sockets in its slots."""

import json
import os
import unittest

import harness

PROGRAM = harness.PROGRAMS / "ring_sockets"
CANNOT = 77
KERNEL = tuple(map(int, os.uname().release.split(".")[:2]))


class RingSockets(unittest.TestCase):
    maxDiff = None

    def play(self, *options):
        with harness.scratch() as directory:
            truth = directory / "truth.json"
            outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", "-q", "--", PROGRAM, "--truth", truth, *options)
            if outcome.returncode == CANNOT:
                self.skipTest("this kernel's io_uring cannot do it")
            report = harness.parse_report(outcome)
            harness.assert_promise_kept(self, report)
            return outcome, report, json.loads(truth.read_text())

    def site_at(self, report, place):
        """The site whose creation stack runs through the place, whatever it calls to submit."""
        wanted = harness.true_place(place)
        found = [site for site in report["sites"] if wanted in [harness.place(f) for f in site["created_at"]["frames"]]]
        self.assertEqual(1, len(found), (wanted, [harness.show(site["created_at"]) for site in report["sites"]]))
        return found[0]

    def closes_at(self, site, place):
        wanted = harness.true_place(place)
        return sum(close["count"] for close in site["closed_at"]
                   if wanted in [harness.place(f) for f in close["stack"]["frames"]])

    def assert_all_seen(self, report, truth, late=0):
        """`late`: closed with the ring. Up to 6.12 the kernel lets all files of slots go later, from a worker."""
        self.assertEqual(truth["sockets_created"], report["totals"]["created"])
        self.assertEqual(0, harness.counter(report, "accepts_unseen"))
        for end in ("accepted", "made"):
            self.assertEqual(truth[end]["count"], self.site_at(report, truth[end])["created"])
        for end, closed, more in (("accepted", "closed_server", late), ("made", "closed_client", 0)):
            site = self.site_at(report, truth[end])
            by_worker = sum(close["count"] for close in site["closed_at"] if close["how"] == "async")
            named = self.closes_at(site, truth[closed])
            self.assertEqual(truth[closed]["count"] + more, named + by_worker, site["closed_at"])
            if by_worker != more:
                print(f"{closed}: {by_worker} closed by a worker of the kernel, {named} by the request", flush=True)
                self.assertEqual(0, named)

    def test_a_forgotten_connection_is_named(self):
        outcome, report, truth = self.play()
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        self.assert_all_seen(report, truth)
        (finding,) = report["findings"]
        self.assertEqual((truth["leaked"], "accept"), (finding["leaked"], finding["origin"]))
        self.assertEqual(self.site_at(report, truth["accepted"])["site"], finding["site"])

    def test_accepting_is_what_every_ring_can_do(self):
        outcome, report, truth = self.play("--plain")
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        if KERNEL < (5, 18) and report["hooks"]["accept"].endswith("sys_exit"):  # neither tells of a ring's accept
            self.assertEqual(truth["accepted"]["count"], harness.counter(report, "accepts_unseen"))
            return
        self.assert_all_seen(report, truth)
        (finding,) = report["findings"]
        self.assertEqual((truth["leaked"], "accept"), (finding["leaked"], finding["origin"]))

    def test_the_repaired_program_is_clean(self):
        for options in (("--repaired",), ("--repaired", "--direct")):
            outcome, report, truth = self.play(*options)
            self.assertEqual((0, []), (outcome.returncode, report["findings"]))
            self.assert_all_seen(report, truth)

    def test_what_stays_in_a_slot_is_closed_with_the_ring(self):
        outcome, report, truth = self.play("--direct")
        self.assert_all_seen(report, truth, late=truth["leaked"])
        self.assertEqual(0, outcome.returncode, "a late close of the ring's is no leak")


if __name__ == "__main__":
    harness.main()
