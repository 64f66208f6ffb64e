"""Hundreds of open unix sockets: none may be told as closed because a look at the kernel's tables missed it, and each look
finds all of them, also those that no descriptor refers to."""

import json
import subprocess
import unittest

import harness

PROGRAM = harness.PROGRAMS / "unix_crowd"
LOOKS = "9s"  # room for four looks, one every 2 s


class UnixCrowd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            harness.read_line(process.stdout, "ready", "unix_crowd")
            tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q", "-d", LOOKS)
            process.stdin.write("\n")
            process.stdin.flush()
            cls.truth = json.loads(process.stdout.readline())
            cls.report = harness.parse_report(tracer.result())
        finally:
            harness.end(process)

    def test_none_is_taken_for_closed(self):
        harness.assert_promise_kept(self, self.report)
        # Before 5.15 no iterator shows unix sockets: what only a message holds counts as gone.
        unlisted = 0 if "unix-sockets" in self.report["hooks"] else self.truth["in_flight"]
        seen = self.report["hooks"]["unix-close"].endswith("/unix_release")
        gone = 0 if seen else unlisted
        totals = self.report["totals"]
        self.assertEqual((self.truth["created"], gone, self.truth["created"] - gone),
                         (totals["created"], totals["closed"], totals["open"]))
        self.assertEqual(self.truth["created"] - unlisted, len(self.report["open_sockets"]))

    def test_each_look_says_what_they_are_connected_to(self):
        if "unix-sockets" not in self.report["hooks"]:
            self.skipTest("no iterator shows unix sockets here")
        peers = {sock["cookie"]: sock.get("peer") for sock in self.report["open_sockets"]}
        self.assertEqual([], [cookie for cookie, peer in peers.items() if peers.get(peer) != cookie])


if __name__ == "__main__":
    harness.main()
