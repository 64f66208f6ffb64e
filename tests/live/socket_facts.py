"""What is known of sockets' use without having seen it: `socket_facts_subject.py` makes one socket for each fact, and knows."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import harness

SUBJECT = pathlib.Path(__file__).with_name("socket_facts_subject.py")
TICK = 0.011  # the kernel's times are in jiffies; the longest is 10 ms


@contextlib.contextmanager
def subject():
    """The program and its truth."""
    process = subprocess.Popen([sys.executable, SUBJECT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line:
            raise AssertionError("the subject ended early")
        yield process, json.loads(line)
    finally:
        harness.end(process)


class SocketFacts(unittest.TestCase):
    maxDiff = None

    def assert_seconds(self, said, moment, looked, what):
        """`said` seconds before some moment in `looked`; the event was in `moment`."""
        self.assertIsNotNone(said, what)
        self.assertGreaterEqual(said, looked[0] - moment[1] - TICK, what)
        self.assertLessEqual(said, looked[1] - moment[0] + TICK, what)

    def assert_facts(self, row, sock, looked):
        unread = sock["unread_bytes"]
        self.assertEqual(row["unread"], "some" if row["unread"] == "some" and unread > 0 else unread)
        self.assertEqual(row["end_read"], sock["end_read"])
        self.assertEqual(row["waiter"], sock["waiter"])
        if row.get("used", 0) is None:
            self.assertIsNone(sock["idle_s"])
        elif "used" in row:
            self.assert_seconds(sock["idle_s"], row["used"], looked, "idle_s")
        if "ended" in row:
            self.assert_seconds(sock["dwell_s"], row["ended"], looked, "dwell_s")
        else:
            self.assertIsNone(sock["dwell_s"])

    def test_from_before_the_attach(self):
        with subject() as (process, truth):
            tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q")
            began = time.monotonic()
            outcome = tracer.result(interrupt=True)
            looked = (began, time.monotonic())
        report = harness.parse_report(outcome)
        sockets = {sock["inode"]: sock for sock in report["open_sockets"]}
        for row in truth["sockets"]:
            with self.subTest(row["name"]):
                self.assert_facts(row, sockets[row["inode"]], looked)

    def test_uses_are_counted(self):
        """`check` counts from the start; interrupted, it leaves a command that does not listen as it is."""
        with harness.scratch() as directory:
            told = directory / "told"
            os.mkfifo(told)
            tracer = harness.Tracer("--json", "-v", "-q", "--settle", "100ms", "--", sys.executable, SUBJECT, "--uses", told,
                                    command="check")
            truth = json.loads(told.read_text())
            try:
                report = harness.parse_report(tracer.result(interrupt=True))
            finally:
                os.kill(truth["pid"], signal.SIGKILL)
        hooks = set(report["hooks"].values())
        everything = "tp_btf/sock_recv_length" in hooks
        sockets = {sock["inode"]: sock for sock in report["open_sockets"]}
        for row in truth["sockets"]:
            with self.subTest(row["name"]):
                uses = sockets[row["inode"]]["uses"]
                if not everything and ("fexit/inet_recvmsg" not in hooks or row["name"].startswith("unix")):
                    self.assertIsNone(uses)
                    continue
                self.assertIn(uses["bursts"], row["bursts"])
                self.assertGreaterEqual(uses["longest_gap_s"], row["gap"][0] - 0.001)
                self.assertLessEqual(uses["longest_gap_s"], row["gap"][1] + 0.001)
                self.assertGreaterEqual(uses["since_s"], uses["longest_gap_s"])


if __name__ == "__main__":
    harness.main()
