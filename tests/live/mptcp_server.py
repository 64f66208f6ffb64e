"""A server that listens with MPTCP: whatever its clients speak, each connection is known from its accept to its close."""

import json
import subprocess
import unittest

import harness

PROGRAM = harness.PROGRAMS / "mptcp_server"


class MptcpServer(unittest.TestCase):
    maxDiff = None

    def serve(self, early):
        process = subprocess.Popen([PROGRAM, str(early)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            first = process.stdout.readline().strip()
            if first != "ready":
                self.skipTest(first)
            tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q", "--older", "1ms")
            process.stdin.write("\n")
            process.stdin.flush()
            truth = json.loads(process.stdout.readline())
            return truth, harness.parse_report(tracer.result(interrupt=True))
        finally:
            harness.end(process)

    def check(self, truth, report):
        self.assertEqual(0, harness.counter(report, "accepts_without_cookie"))
        harness.assert_promise_kept(self, report)
        self.assertEqual(0, harness.counter(report, "closes_without_open"))
        for kind, protocol in (("plain", "tcp"), ("mptcp", "mptcp")):
            with self.subTest(kind):
                sites = [site for site in report["sites"] if site["origin"] == "accept" and site["protocol"] == protocol]
                accepted, kept = truth[f"{kind}_accepted"], truth[kind]
                places = [harness.own_place(site["created_at"], PROGRAM.name) for site in sites]
                self.assertEqual({("serve", truth["line"])}, {(place["function"], place["line"]) for place in places})
                self.assertEqual((accepted, accepted - len(kept)),
                                 (sum(site["created"] for site in sites), sum(site["closed"] for site in sites)))
                closes = [(close["how"], close["count"], harness.own_place(close["stack"], PROGRAM.name)["line"])
                          for site in sites if site["closed"] for close in site["closed_at"]]  # else its siblings'
                self.assertEqual([("close", accepted - len(kept), truth["closed_line"])], closes)
                shown = [sock["inode"] for sock in report["open_sockets"]
                         if sock["protocol"] == protocol and sock["origin"] == "accept"]
                self.assertEqual(sorted(kept), sorted(shown))
        waiting = [sock for sock in report["open_sockets"] if not sock["accepted"]]
        self.assertEqual([], waiting)
        self.assertEqual([], [finding for finding in report["findings"] if finding["verdict"] == "ownerless"])

    def test_clients_of_both_kinds(self):
        self.check(*self.serve(early=0))

    def test_clients_that_waited_before_the_attach(self):
        truth, report = self.serve(early=3)
        self.check(truth, report)

    def test_what_is_forgotten_is_a_leak_by_its_line(self):
        truth, report = self.serve(early=0)
        leaks = [finding for finding in report["findings"] if finding["origin"] == "accept" and finding["protocol"] == "tcp"]
        self.assertEqual([(len(truth["plain"]), truth["line"])],
                         [(leak["leaked"], harness.own_place(leak["created_at"], PROGRAM.name)["line"]) for leak in leaks])


if __name__ == "__main__":
    harness.main()
