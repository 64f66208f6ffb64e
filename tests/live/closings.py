"""How each socket went away: every way in which the last reference to a file can be dropped, as `programs/closings.c` plays
them."""

import json
import subprocess
import unittest

import harness

PROGRAM = harness.PROGRAMS / "closings"


def functions(stack):
    return [harness.bare(frame.get("function")) for frame in stack["frames"]]


class Closings(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            harness.read_line(process.stdout, "ready", "closings")
            tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q", "-t", "tcp")
            process.stdin.write("\n")
            process.stdin.flush()
            cls.truth = json.loads(process.stdout.readline())
            cls.report = harness.parse_report(tracer.result(interrupt=True))
        finally:
            harness.end(process)

    def test_each_way(self):
        for way in self.truth["ways"]:
            with self.subTest(way["function"]):
                if not way["played"]:
                    self.skipTest(f"{way['function']}: this kernel has no such way")
                (site,) = (site for site in self.report["sites"]
                           if way["function"] in functions(site["created_at"]) and self.is_first(site, way))
                self.assertEqual((1, 1), (site["created"], site["closed"]))
                (close,) = site["closed_at"]
                self.assertEqual((way["how"], 1), (close["how"], close["count"]))
                self.assertEqual(way["placed"], way["function"] in functions(close["stack"]), harness.show(close["stack"]))
                if way["placed"]:
                    self.assertTrue(harness.is_whole(close["stack"]), harness.show(close["stack"]))

    @staticmethod
    def is_first(site, way):
        """The peer that by_end_of_call accepts and the client of by_end_of_listener are other sites of those functions."""
        return site["origin"] == ("socket" if way["function"] == "by_end_of_listener" else "connect") and \
            harness.own_place(site["created_at"], PROGRAM.name)["function"] in ("connection", "by_end_of_listener")

    def test_nothing_is_left_or_accused(self):
        harness.assert_promise_kept(self, self.report)
        self.assertEqual([], self.report["findings"])
        self.assertEqual(["LISTEN"], [sock["state"] for sock in self.report["open_sockets"]], "the listener of all")


if __name__ == "__main__":
    harness.main()
