"""Who made each socket, who holds it, how they came by it, why it is still there, how it was closed: field by field what
`programs/handovers.c` says it did. And what is no leak is not called one."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import unittest

import harness

KERNEL = tuple(map(int, os.uname().release.split(".")[:2]))
SUBJECT = pathlib.Path(__file__).with_name("scan_subject.py")

PROGRAM = harness.PROGRAMS / "handovers"
CANNOT = 77  # the kernel refuses what the scenario needs
SO_COOKIE = 57
RECEIVER = """
import socket, sys
with socket.socket(fileno=int(sys.argv[1])) as giver:
    _, fds, _, _ = socket.recv_fds(giver, 1, 1)
    giver.send(str(fds[0]).encode())
    giver.recv(1)
"""


@contextlib.contextmanager
def actors(scenario):
    process = subprocess.Popen([PROGRAM, scenario], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "ready\n":
            raise AssertionError(f"{scenario}: ended with {process.wait(harness.TIMEOUT)}")
        yield process
    finally:
        process.stdin.close()  # it ends itself and all that it started
        process.wait(harness.TIMEOUT)
        process.stdout.close()


def play(test, scenario, *options):
    """The truth and what sockleak says of it."""
    with actors(scenario) as process:
        tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q", *options)
        process.stdin.write("\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            tracer.result(interrupt=True)
            if process.wait(harness.TIMEOUT) == CANNOT:
                test.skipTest(f"{scenario}: this kernel refuses it")
            raise AssertionError(f"{scenario}: no truth")
        outcome = tracer.result(interrupt=True)
        return json.loads(line), harness.parse_report(outcome)


def holders(sock, only=None):
    return sorted((h["pid"], h["tid"], h["fd"], h["via"], h["handed_over"] or "", h["cloexec"]) for h in sock["holders"]
                  if h["via"] == only or not only)


class HandOvers(unittest.TestCase):
    maxDiff = None

    def check(self, scenario, *options):
        truth, report = play(self, scenario, *options)
        harness.assert_promise_kept(self, report)
        # Where only descriptors can be searched, the report says so, and tells no cause.
        self.searched = harness.searches_through_bpf()
        if not self.searched:
            self.assertGreater(harness.counter(report, "holders_not_searched"), 0)
        opened = {sock["cookie"]: sock for sock in report["open_sockets"]}
        accused = {}
        for finding in report["findings"]:
            for sock in finding["sockets"]:
                accused.setdefault(sock["cookie"], set()).update(rule["rule"] for rule in finding["rules"])
        ways = [close["how"] for site in report["sites"] for close in site["closed_at"] for _ in range(close["count"])]
        for told in truth["sockets"]:
            with self.subTest(scenario=scenario, cookie=told["cookie"]):
                if told["closed"]:
                    self.assertNotIn(told["cookie"], opened)
                    # Queues that nobody can reach were emptied by whoever closed a unix socket next, before 8b90a9f819dc.
                    older = told["closed"] == "async" and KERNEL < (6, 12)
                    self.assertTrue({told["closed"], *(("close",) if older else ())} & set(ways), ways)
                    continue
                sock = opened[told["cookie"]]
                self.assertEqual(told["creator"], {name: sock["creator"][name] for name in ("pid", "tid")})
                seen, true = holders(sock), holders(told, None if self.searched else "fd")
                unknown = [row for row in seen if row[4] == "unknown"]
                if len(unknown) <= harness.counter(report, "hooks_skipped"):  # how it got there was left out
                    true = [row[:4] + ("unknown",) + row[5:] if row[:4] in [u[:4] for u in unknown] else row for row in true]
                self.assertEqual(true, seen)
                if self.searched:
                    self.assertEqual(told["cause"], sock["cause"] or "")
                if told["rule"] != "unaccepted":
                    self.assertEqual({told["rule"]} - {""}, accused.get(told["cookie"], set()))
        ownerless = {sock["cookie"]: sock for sock in report["ownerless"]}
        for told in truth["sockets"] if self.searched else ():
            lost = told["cause"] not in ("", "zombie-leader", "unshared-files")
            self.assertEqual(lost, told["cookie"] in ownerless, told)
            if lost:
                self.assertEqual(told["cause"], ownerless[told["cookie"]]["cause"])
                self.assertTrue(ownerless[told["cookie"]]["remedy"])
        return truth, report

    def assert_clean(self, scenario):
        _, report = self.check(scenario)
        self.assertEqual([], [f["rules"] for f in report["findings"]])
        return report

    def test_inherited(self):
        for scenario in ("fork", "fork_exec", "vfork", "spawn", "exec", "dup"):
            self.assert_clean(scenario)

    def test_a_socket_marked_close_on_exec_ends_there_and_is_no_leak(self):
        report = self.assert_clean("exec")
        self.assertEqual(1, report["totals"]["closed"])

    def test_passed_through_unix_sockets(self):
        self.assert_clean("scm_received")
        self.assert_clean("scm_in_flight")

    def test_collected_in_a_queue_that_nobody_can_reach(self):
        self.assert_clean("unix_gc")

    def test_taken_with_pidfd_getfd(self):
        self.assert_clean("pidfd_getfd")

    def test_put_there_by_another_process_is_a_way_that_is_not_seen(self):
        self.assert_clean("addfd")

    def test_descriptor_tables(self):
        for scenario in ("unshared_table", "shared_table", "zombie_leader"):
            self.assert_clean(scenario)

    def test_io_uring(self):
        for scenario in ("ring_slot", "ring_request"):
            self.assert_clean(scenario)

    def test_the_late_close_of_a_ring_is_no_leak(self):
        report = self.assert_clean("ring_exit")
        self.assertEqual(0, report["totals"]["ownerless"])

    def test_a_call_that_outlives_the_descriptor(self):
        self.assert_clean("blocked_call")

    def test_a_process_whose_exit_does_not_end(self):
        """Its socket's last close waits for a file system that does not answer."""
        subject = subprocess.Popen(["unshare", "--net", sys.executable, "-B", SUBJECT, "stuck_exit", "wait"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            harness.read_line(subject.stdout, "ready", "the subject")
            tracer = harness.Tracer("-p", subject.pid, "--json", "-v", "-q", "--older", "1ms")
            subject.stdin.write("\n")
            subject.stdin.flush()
            truth = json.loads(subject.stdout.readline())
            report = harness.parse_report(tracer.result(interrupt=True))
        finally:
            subject.stdin.close()
            subject.wait(harness.TIMEOUT)
            subject.stdout.close()
        if truth is None:
            self.skipTest("this kernel has no FUSE")
        if not harness.searches_through_bpf():
            self.skipTest("this kernel's exiting tasks cannot be searched")
        self.assertEqual({(sock["local"], sock["cause"]) for sock in truth},
                         {(sock["local"]["port"], sock["cause"]) for sock in report["ownerless"]})
        for sock in report["ownerless"]:
            self.assertIn("umount -f", sock["remedy"])
        stuck = [sock for sock in report["open_sockets"] if sock["cause"] == "stuck-exit"]
        self.assertEqual([("connect", [])] * len(truth), [(sock["origin"], sock["holders"]) for sock in stuck])
        self.assertEqual(1, len({sock["creator"]["pid"] for sock in stuck} - {subject.pid}))
        self.assertEqual([], [finding["rules"] for finding in report["findings"]])

    def test_mapping(self):
        self.assert_clean("mapping")

    def test_an_executed_program_that_keeps_what_its_dead_parent_opened(self):
        _, report = self.check("leftover_exec")
        (finding,) = report["findings"]
        self.assertEqual(("inherited", 1), (finding["verdict"], report["totals"]["leaked"]))

    def test_a_child_that_keeps_what_its_dead_parent_opened_is_suspect(self):
        _, report = self.check("leftover_fork", "--older", "1ms")
        (finding,) = (f for f in report["findings"] if f["verdict"] == "inherited")
        self.assertLess(finding["confidence"], 0.8)
        self.assertEqual(0, report["totals"]["leaked"])

    def test_what_inetd_and_systemd_hand_on_is_no_leak(self):
        for scenario in ("inetd", "systemd"):
            self.assert_clean(scenario)

    def test_an_acceptor_without_descriptors(self):
        truth, report = self.check("emfile", "--older", "1ms")
        (finding,) = (f for f in report["findings"] if f["verdict"] == "ownerless")
        self.assertEqual(["unaccepted"], [rule["rule"] for rule in finding["rules"]])
        self.assertEqual(truth["waiting"], finding["leaked"])
        if self.searched:
            self.assertIn("EMFILE", finding["rules"][0]["evidence"])
        self.assertIn("play_emfile", [harness.bare(f["function"]) for f in finding["created_at"]["frames"]] +
                      [harness.bare(f["function"]) for f in finding["listener_created_at"]["frames"]])
        self.assertEqual(truth["waiting"] if self.searched else 0,
                         sum(sock["cause"] == "accept-queue" for sock in report["ownerless"]))
        subject = truth["sockets"][0]["creator"]["pid"]
        self.assertEqual([(subject, 64, 64)] if self.searched else [],
                         [(l["pid"], l["fds"], l["rlimit"]) for l in report["limits"] if l["pid"] == subject])
        self.assertEqual(0, report["totals"]["leaked"])

    def test_what_ss_cannot_show(self):
        self.check("invisible", "--older", "1ms")
        self.assert_clean_but_young("invisible")

    def test_what_a_stranger_hands_over(self):
        ours, theirs = socket.socketpair()
        with ours, socket.create_server(("127.0.0.1", 0)) as server, \
                socket.create_connection(server.getsockname()) as given:
            cookie = int.from_bytes(given.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)
            inode = os.fstat(given.fileno()).st_ino
            with theirs:
                process = subprocess.Popen([sys.executable, "-c", RECEIVER, str(theirs.fileno())],
                                           pass_fds=[theirs.fileno()])
            try:
                tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q")
                socket.send_fds(ours, [b"!"], [given.fileno()])
                fd = int(ours.recv(16))
                report = harness.parse_report(tracer.result(interrupt=True))
            finally:
                ours.shutdown(socket.SHUT_RDWR)  # it ends
                process.wait(harness.TIMEOUT)
        harness.assert_promise_kept(self, report)
        (sock,) = (sock for sock in report["open_sockets"] if sock["cookie"] == cookie)
        self.assertEqual(("before-attach", inode), (sock["origin"], sock["inode"]))
        self.assertIn((process.pid, fd), [(holder["pid"], holder["fd"]) for holder in sock["holders"]])
        self.assertEqual([], report["findings"])

    def assert_clean_but_young(self, scenario):
        _, report = play(self, scenario)
        self.assertEqual([], report["findings"])


if __name__ == "__main__":
    harness.main()
