"""`sockleak scan` names the cause of every socket that no descriptor refers to, and no wrong one."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import harness

try:
    import jsonschema
except ImportError as missing:
    print(f"reports are not held against their schema: {missing} (Debian: python3-jsonschema)", flush=True)
    jsonschema = None

SUBJECT = pathlib.Path(__file__).with_name("scan_subject.py")


class Subject:
    """A process in a network namespace of its own that shows one way of being ownerless."""

    def __init__(self, scenario):
        self.process = subprocess.Popen(["unshare", "--net", sys.executable, str(SUBJECT), scenario],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{scenario}: the subject ended with {self.process.wait()}")
        self.truth = json.loads(line)
        self.netns = os.stat(f"/proc/{self.process.pid}/task/{self.thread()}/ns/net").st_ino

    def thread(self):
        """A zombie leader has no namespaces any more; its other threads have."""
        tasks = sorted(map(int, os.listdir(f"/proc/{self.process.pid}/task")))
        return tasks[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(harness.TIMEOUT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.stdout.close()
            self.process.wait()


def scan(*arguments, status=0):
    outcome = harness.run(harness.SOCKLEAK, "scan", "--json", *arguments)
    if outcome.returncode != status:
        raise AssertionError(f"exit {outcome.returncode}: {outcome.stderr.decode()}")
    report = json.loads(outcome.stdout)
    hold_against_schema(report)
    return report


def hold_against_schema(report):
    """What docs/scan.schema.json promises; without python3-jsonschema (the test kernels have none) it is not looked at."""
    if jsonschema is None:
        return
    schema = json.loads((harness.REPOSITORY / "docs/scan.schema.json").read_text(encoding="utf-8"))
    errors = [f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(report)]
    if errors:
        raise AssertionError("\n".join(errors[:10]))


# What only the kernel's own tables prove; without BPF it is said that nobody is seen to hold it.
NEED_BPF = ("in-flight", "io-uring-slot", "io-uring-request", "blocked-call", "mapping", "stuck-exit", "kernel",
            "mptcp-subflow")


class Causes(unittest.TestCase):
    without_bpf = False

    def scan(self, subject):
        where = ("netns", str(subject.netns))
        if not self.without_bpf:
            return scan(*where)
        outcome = harness.run("nsenter", f"--net=/proc/{subject.process.pid}/task/{subject.thread()}/ns/net", "setpriv",
                              "--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-all", harness.SOCKLEAK, "scan",
                              "--json", *where)
        report = harness.parse_report(outcome)
        self.assertEqual(report["method"], "sock_diag", outcome.stderr)
        hold_against_schema(report)
        return report

    def check(self, scenario):
        with Subject(scenario) as subject:
            if subject.truth is None:
                self.skipTest("this kernel does not allow it")
            report = self.scan(subject)
            shown = {(s["protocol"], s["local"]["port"], s["remote"]["port"]): s for s in report["sockets"]
                     if s["state"] != "LISTEN"}
            ss = harness.run("nsenter", f"--net=/proc/{subject.process.pid}/task/{subject.thread()}/ns/net",
                             "ss", "-Htanp").stdout.decode()
            print(f"\n{scenario}: ss -tanp says\n{ss}", flush=True)
            for truth in subject.truth:
                sock = shown.pop((truth.get("protocol", "tcp"), truth["local"], truth["remote"]), None)
                if report["method"] == "sock_diag":
                    self.assertFalse(report["completeness"]["complete"])
                    if truth.get("invisible"):
                        continue
                    if sock and truth["cause"] in NEED_BPF and sock["cause"] != truth["cause"]:
                        self.assertIn(sock["cause"], ("unknown", "hidden"), sock)
                        self.assertEqual([], sock["holders"])
                        continue
                self.assertIsNotNone(sock, f"{truth} is not listed: {report['sockets']}")
                self.assertEqual(sock["cause"], truth["cause"], sock)
                self.assertEqual(sock["invisible_to_ss"], truth.get("invisible", False), sock)
                if truth["cause"] in (None, "zombie-leader", "unshared-files"):
                    self.assertFalse(sock["ownerless"], sock)
                    self.assertEqual(sock["holders"][0]["pid"], truth.get("holder", subject.process.pid))
                elif truth["cause"] in ("time-wait", "request"):
                    self.assertFalse(sock["ownerless"], sock)
                else:
                    self.assertTrue(sock["ownerless"], sock)
            # The other ends are held, and must not be accused.
            for other in shown.values():
                self.assertFalse(other["ownerless"], other)
                self.assertIn(other["cause"], (None, "time-wait", "zombie-leader"), other)
            return report

    def test_held_sockets_have_no_cause(self):
        self.check("held")

    def test_accept_queue(self):
        report = self.check("accept_queue")
        self.assertEqual([listener["waiting"] for listener in report["listeners"]], [3])
        self.assertEqual({row["cause"]: row["count"] for row in report["causes"]}, {"accept-queue": 3})

    def test_emfile_acceptor(self):
        report = self.check("emfile")
        self.assertTrue(any(limit["fds"] == limit["rlimit"] == 64 for limit in report["limits"]), report["limits"])

    def test_orphan_with_a_zero_window(self):
        self.check("orphan")

    def test_orphan_whose_peer_closed_first(self):
        self.check("last_ack")

    def test_what_is_no_socket_any_more_or_not_yet(self):
        self.check("mini_sockets")

    def test_a_dead_process_whose_exit_is_stuck(self):
        self.check("stuck_exit")

    def test_inherited_by_a_child(self):
        self.check("heir")

    def test_pending_io_uring_request(self):
        self.check("ring_request")

    def test_the_kernel_s_own(self):
        self.check("kernel")

    def test_subflow_of_a_closed_mptcp_socket(self):
        self.check("mptcp_subflow")

    def test_in_flight(self):
        self.check("in_flight")

    def test_io_uring_slot(self):
        self.check("ring_slot")

    def test_closed_while_a_call_is_blocked(self):
        self.check("blocked_call")

    def test_mapping(self):
        self.check("mapping")

    def test_unshared_files(self):
        self.check("unshared_files")

    def test_zombie_leader(self):
        self.check("zombie_leader")

    def test_invisible_to_ss(self):
        self.check("invisible")


class CausesWithoutBpf(Causes):
    """The same through sock_diag and /proc: it knows less, and is never wrong."""
    without_bpf = True


class Limits(unittest.TestCase):
    def test_too_many_ownerless_sockets_end_with_1_and_the_reason(self):
        with Subject("accept_queue") as subject:
            where = ("netns", str(subject.netns))
            scan("--max-ownerless", "3", *where)
            report = scan("--max-ownerless", "2", *where, status=1)
            self.assertEqual(report["exceeded"], ["3 ownerless sockets, more than 2"])
            report = scan("--max-close-wait", "0", *where, status=1)
            self.assertEqual(report["exceeded"], ["1 socket in CLOSE_WAIT, more than 0"])

    def test_filters_mean_what_they_say(self):
        with Subject("accept_queue") as subject:
            where = ("netns", str(subject.netns), "and")
            port = subject.truth[0]["local"]
            self.assertEqual(len(scan(*where, "cause", "accept-queue")["sockets"]), 3)
            self.assertEqual(len(scan(*where, "state", "listening")["sockets"]), 1)
            self.assertEqual(len(scan(*where, f"dport = :{port}")["sockets"]), 3)
            self.assertEqual(len(scan(*where, "pid", str(subject.process.pid), "and", "not", "ownerless")["sockets"]), 4)


class Unprivileged(unittest.TestCase):
    def test_an_ordinary_user_gets_an_answer_and_is_told_what_is_missing(self):
        with harness.scratch() as directory:
            sockleak = harness.copy_for_everyone(harness.SOCKLEAK, directory)
            outcome = harness.run(*harness.as_nobody(sockleak, "scan", "--json"))
            self.assertEqual(outcome.returncode, 0, outcome.stderr)
            report = json.loads(outcome.stdout)
            self.assertEqual(report["method"], "sock_diag")
            self.assertFalse(report["completeness"]["complete"])
            self.assertIn("CAP_BPF", outcome.stderr.decode())
            for sock in report["sockets"]:
                self.assertNotEqual(sock["cause"], "unknown", sock)


if __name__ == "__main__":
    harness.main()
