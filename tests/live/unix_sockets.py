"""Unix sockets, however they are made, handed on and closed: what stays is known, what was closed is no leak, and a close that
no hook saw is said to be one."""

import collections
import contextlib
import json
import os
import shutil
import subprocess
import unittest

import harness

PROGRAM = harness.PROGRAMS / "unix_sockets"


@contextlib.contextmanager
def playing(*options, command="trace"):
    """The program after its play, and the tracer."""
    process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        harness.read_line(process.stdout, "ready", "unix_sockets")
        tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q", *options, command=command)
        process.stdin.write("\n")
        process.stdin.flush()
        yield process, json.loads(process.stdout.readline()), tracer
    finally:
        harness.end(process)


def play(*options):
    with playing(*options) as (_, truth, tracer):
        return truth, harness.parse_report(tracer.result(interrupt=True))


class UnixSockets(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.truth, cls.report = play()
        cls.open = {sock["inode"]: sock for sock in cls.report["open_sockets"]}
        # Before 5.15 no iterator shows unix sockets: no look finds one without a descriptor, though it counts as open.
        lists_unix = "unix-sockets" in cls.report["hooks"]
        cls.sees_closes = cls.report["hooks"]["unix-close"].endswith("/unix_release")
        cls.shown = [row for row in cls.truth["stays"] if lists_unix or row["how"] != "in flight"]
        cls.taken_for_gone = 0 if cls.sees_closes else len(cls.truth["stays"]) - len(cls.shown)

    def test_nothing_is_lost_or_invented(self):
        harness.assert_promise_kept(self, self.report)
        self.assertEqual(0, harness.counter(self.report, "closes_without_open"))
        self.assertEqual({row["inode"] for row in self.shown}, set(self.open))
        totals, stay = self.report["totals"], len(self.truth["stays"]) - self.taken_for_gone
        self.assertEqual((self.truth["created"], self.truth["created"] - stay, stay),
                         (totals["created"], totals["closed"], totals["open"]))

    def test_every_close_is_seen_or_said_to_be_unseen(self):
        closes = collections.Counter()
        for site in self.report["sites"]:
            for close in site["closed_at"]:
                closes[close["how"]] += close["count"]
                if close["how"] == "close" and close["stack"]["frames"]:
                    self.assertTrue(harness.is_whole(close["stack"]), harness.show(close["stack"]))
                if close["how"] == "unseen":
                    self.assertEqual([], close["stack"]["frames"])
        by_call, otherwise = self.truth["closed_by_call"], self.truth["closed_otherwise"]
        # The other program is cat: GNU's closes its input, busybox's leaves it to its end.
        left = 1 if os.path.realpath(shutil.which("cat")).endswith("busybox") else 0
        self.assertEqual(left, closes.pop("exit", 0))
        if self.sees_closes:
            self.assertEqual({"close": by_call + otherwise - left}, dict(closes))
        else:
            self.assertEqual({"close": by_call, "unseen": otherwise - left + self.taken_for_gone}, dict(closes))

    def test_who_holds_what_stays(self):
        for row in self.shown:
            with self.subTest(row["how"], inode=row["inode"]):
                sock = self.open[row["inode"]]
                held = [(self.truth["pid"], row["fd"], row["via"])] if row["via"] else []
                self.assertEqual(held, [(holder["pid"], holder["fd"], holder["via"]) for holder in sock["holders"]])
                self.assertEqual(("unix", "stream"), (sock["protocol"], sock["type"]))
                self.assertEqual(self.truth["pid"], sock["creator"]["pid"])

    def test_both_ends_of_a_pair_know_each_other(self):
        first, second = (self.open[row["inode"]] for row in self.truth["stays"] if row["how"] == "pair")
        self.assertEqual(("socketpair", "socketpair"), (first["origin"], second["origin"]))
        self.assertEqual((second["cookie"], first["cookie"]), (first["peer"], second["peer"]))

    def test_the_forgotten_ones_name_their_line(self):
        forgotten = self.truth["forgotten"]
        sites = [site for site in self.report["sites"] if site["protocol"] == "unix" and site["origin"] == "socket" and
                 harness.own_place(site["created_at"], PROGRAM.name)["line"] == forgotten["line"]]
        self.assertEqual(1, len(sites))
        site = sites[0]
        self.assertEqual(forgotten["function"], harness.own_place(site["created_at"], PROGRAM.name)["function"])
        self.assertEqual((forgotten["of"], forgotten["of"] - forgotten["count"]), (site["created"], site["closed"]))
        self.assertEqual([forgotten["closed_line"]], [harness.own_place(close["stack"], PROGRAM.name)["line"]
                                                      for close in site["closed_at"]])

    def test_without_evidence_nobody_is_accused(self):
        self.assertEqual([], self.report["findings"])

    def test_left_to_the_end_of_the_process_the_forgotten_ones_are_a_leak(self):
        with playing(command="check") as (process, truth, tracer):
            process.stdin.close()
            process.wait(harness.TIMEOUT)
            report = harness.parse_report(tracer.result(interrupt=False))
        leaks = [finding for finding in report["findings"] if finding["verdict"] == "leak"]
        self.assertEqual([(truth["forgotten"]["line"], truth["forgotten"]["count"])],
                         [(harness.own_place(leak["created_at"], PROGRAM.name)["line"], leak["leaked"]) for leak in leaks])
        self.assertEqual(["open-at-exit"], [rule["rule"] for rule in leaks[0]["rules"]])
        self.assertEqual([("@unix_sockets", truth["forgotten"]["count"])],
                         [(peer["address"], peer["count"]) for peer in leaks[0]["peers"]])

    def test_only_if_they_are_wanted(self):
        _, report = play("-t", "tcp,udp")
        self.assertEqual((0, []), (report["totals"]["created"], report["open_sockets"]))
        self.assertNotIn("unix-close", report["hooks"])


if __name__ == "__main__":
    harness.main()
