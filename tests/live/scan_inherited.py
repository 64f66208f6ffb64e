"""`scan` tells of a listener that a program keeps which was started by a server that has ended, and of no other."""

import contextlib
import json
import subprocess
import unittest

import harness

PROGRAM = harness.PROGRAMS / "listener_kept"


@contextlib.contextmanager
def kept(how):
    """Port and child of a server that has ended; the child ends with our pipe."""
    process = subprocess.Popen([PROGRAM, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        truth = json.loads(process.stdout.readline())
        process.wait(harness.TIMEOUT)
        yield truth
    finally:
        process.stdin.close()
        process.stdout.read()  # until the child has ended, too
        process.stdout.close()


def scan(port, *options):
    return harness.run(harness.SOCKLEAK, "scan", *options, f"sport = :{port}")


class ScanInherited(unittest.TestCase):
    def setUp(self):
        if not harness.searches_through_bpf():
            self.skipTest("scan asks sock_diag here, which does not tell")

    def inherited(self, port):
        return [(one["local"]["port"], [(holder["pid"], holder["comm"]) for holder in one["holders"]])
                for one in json.loads(scan(port, "--json").stdout)["inherited"]]

    def test_one_that_a_job_keeps(self):
        with kept("exec") as truth:
            self.assertEqual([(truth["port"], [(truth["child"], "cat")])], self.inherited(truth["port"]))
            text = " ".join(scan(truth["port"]).stdout.decode().split())
            self.assertIn("INHERITED 1 listener whose creator has ended", text)
            self.assertIn(f"cat ({truth['child']}) fd 3", text)
            self.assertIn("SOCK_CLOEXEC", text)

    def test_not_one_that_was_closed_on_the_way(self):
        with kept("cloexec") as truth:
            self.assertEqual([], self.inherited(truth["port"]))

    def test_not_that_of_a_server_in_the_background(self):
        with kept("daemon") as truth:
            self.assertEqual([], self.inherited(truth["port"]))

    def test_not_that_of_a_living_server(self):
        with kept("exec"):
            listener = subprocess.Popen(["python3", "-c", "import socket,sys; s = socket.create_server(('127.0.0.1', 0)); "
                                         "print(s.getsockname()[1], flush=True); sys.stdin.read()"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                self.assertEqual([], self.inherited(int(listener.stdout.readline())))
            finally:
                harness.end(listener)


if __name__ == "__main__":
    harness.main()
