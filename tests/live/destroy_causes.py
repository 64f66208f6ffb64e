"""`sockleak destroy` on what no descriptor refers to, cause by cause: what is proven to be a program's is ended, and
nothing else; and on what only the end of its process frees."""

import json
import os
import signal
import subprocess
import unittest

import harness
from scan_causes import Subject, scan
from socket_holder import Holder


def destroy(*arguments):
    return harness.run(harness.SOCKLEAK, "destroy", *map(str, arguments), "--yes", "--json")


class DestroyCauses(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        if not harness.searches_through_bpf():
            self.skipTest("this kernel cannot be searched through BPF, so nothing of this is proven")

    def ended(self, scenario, cause, **stays):
        """Everything of one cause is destroyed, and the other sockets of the namespace are as before."""
        with Subject(scenario) as subject:
            if subject.truth is None:
                self.skipTest("this kernel does not allow it")
            where = ("netns", "=", subject.netns)
            before = {sock["cookie"]: sock for sock in scan(*map(str, where))["sockets"]}
            meant = {cookie for cookie, sock in before.items() if sock["cause"] == cause}
            self.assertEqual(len(subject.truth), len(meant), before)
            outcome = destroy(*where, "and", "cause", cause)
            self.assertEqual(0, outcome.returncode, outcome.stdout.decode() + outcome.stderr.decode())
            entries = json.loads(outcome.stdout)["sockets"]
            self.assertEqual({cookie: "done" for cookie in meant}, {entry["cookie"]: entry["result"] for entry in entries})
            for entry in entries:
                self.assertIn(stays.get("stays", ""), entry["stays"] or "", entry)
                self.assertTrue(entry["why"] and (entry["owner_sees"] or cause == "stuck-exit"), entry)
            after = {sock["cookie"]: sock["state"] for sock in scan(*map(str, where))["sockets"]}
            peers = {(sock["remote"]["port"], sock["local"]["port"]) for sock in before.values() if sock["cookie"] in meant}
            for cookie, sock in before.items():
                if cookie in meant or (sock["local"]["port"], sock["remote"]["port"]) in peers:
                    self.assertIn(after.get(cookie, "CLOSE"), ("CLOSE",), sock)  # its peer was reset
                elif sock["state"] != "TIME_WAIT":
                    self.assertEqual(sock["state"], after.get(cookie), sock)

    def test_a_dead_process_whose_exit_is_stuck(self):
        self.ended("stuck_exit", "stuck-exit", stays="exit")

    def test_in_flight(self):
        self.ended("in_flight", "in-flight", stays="message")

    def test_io_uring_slot(self):
        self.ended("ring_slot", "io-uring-slot", stays="slot")

    def test_pending_io_uring_request(self):
        self.ended("ring_request", "io-uring-request")

    def test_closed_while_a_call_is_blocked(self):
        self.ended("blocked_call", "blocked-call")

    def test_mapping(self):
        self.ended("mapping", "mapping", stays="munmap")

    def test_what_threads_hold(self):
        for scenario in ("unshared_files", "zombie_leader"):
            with self.subTest(scenario), Subject(scenario) as subject:
                truth = subject.truth[0]
                outcome = destroy("netns", "=", subject.netns, "sport", "=", f":{truth['local']}", "dport", "=",
                                  f":{truth['remote']}")
                self.assertEqual(0, outcome.returncode, outcome.stdout.decode() + outcome.stderr.decode())
                [entry] = json.loads(outcome.stdout)["sockets"]
                self.assertEqual(("held", "done", subject.process.pid),
                                 (entry["cause"], entry["result"], entry["holders"][0]["pid"]))

    def test_the_kernel_s_own_is_refused(self):
        with Subject("mptcp_subflow") as subject:
            if subject.truth is None:
                self.skipTest("this kernel has no MPTCP")
            outcome = destroy("netns", "=", subject.netns, "cause", "mptcp-subflow")
            self.assertEqual(1, outcome.returncode, outcome.stderr)
            self.assertEqual({"refused"}, {entry["result"] for entry in json.loads(outcome.stdout)["sockets"]})


class WhatOnlyItsProcessFrees(unittest.TestCase):
    """Descriptors of sockets that are closed already, and listeners."""

    def setUp(self):
        self.holder = Holder()
        self.addCleanup(self.holder.__exit__)
        self.holder.tell("l = listener()", "c = connect(l)", "s = l.accept()[0]", "abort(s)", "never = socket.socket()",
                         "d = connect(l)", "t = l.accept()[0]")

    def test_a_closed_socket_is_refused_and_the_reason_given(self):
        if not harness.searches_through_bpf():
            self.skipTest("only BPF shows such sockets")
        outcome = destroy("netns", "=", self.holder.netns, "state", "close")
        self.assertEqual(1, outcome.returncode, outcome.stderr)
        entries = json.loads(outcome.stdout)["sockets"]
        self.assertEqual(2, len(entries), entries)
        for entry in entries:
            self.assertIn("no connection any more", entry["why"])

    def test_stopping_the_process_frees_everything(self):
        outcome = destroy("netns", "=", self.holder.netns, "-p", self.holder.pid, "--stop-process")
        self.assertEqual(0, outcome.returncode, outcome.stdout.decode() + outcome.stderr.decode())
        report = json.loads(outcome.stdout)
        self.assertEqual(["ended after SIGTERM"], [process["result"] for process in report["processes"]])
        self.assertEqual({"done"}, {entry["result"] for entry in report["sockets"]})
        self.assertIn("LISTEN", {entry["state"] for entry in report["sockets"]})
        self.assertEqual(-signal.SIGTERM, self.holder.process.wait(harness.TIMEOUT))

    def test_an_interrupt_while_waiting_kills_nobody(self):
        with harness.scratch() as directory:
            told = directory / "told"
            os.mkfifo(told)
            self.holder.tell(f"signal.signal(signal.SIGTERM, lambda *_: open({str(told)!r}, 'w').close())")
            sockleak = subprocess.Popen([str(harness.SOCKLEAK), "destroy", "netns", "=", str(self.holder.netns), "-p",
                                         str(self.holder.pid), "state", "established", "--stop-process", "--grace", "1h",
                                         "--yes", "--json"], stdout=subprocess.PIPE)
            with open(told, "rb") as end:  # opens once the process has got its SIGTERM
                end.read()
            sockleak.send_signal(signal.SIGINT)
            out, _ = sockleak.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(1, sockleak.returncode)
        report = json.loads(out)
        self.assertEqual(["was not waited for: interrupted"], [process["result"] for process in report["processes"]])
        self.assertEqual({"refused"}, {entry["result"] for entry in report["sockets"]})
        self.assertTrue(self.holder.ask("alive(d, t)"))


if __name__ == "__main__":
    harness.main()
