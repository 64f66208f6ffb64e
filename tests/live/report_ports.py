"""The ephemeral ports that a target uses up towards one destination: in the report of `trace` and in its recording, as text only
when there are many."""

import json
import pathlib
import socket
import subprocess
import sys
import unittest

import harness

RANGE, FIRST, SERVER = 10, 40000, 7001  # of a network namespace of the subject's own


def subject(count):
    """Connects so many times, and stays until stdin ends. For `unshare --net`."""
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{FIRST} {FIRST + RANGE - 1}")
    listener = socket.create_server(("127.0.0.1", SERVER), backlog=count)
    clients = [socket.create_connection(("127.0.0.1", SERVER)) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    del listener, clients


def traced(count, *options):
    command = f"ip link set lo up && exec {sys.executable} {pathlib.Path(__file__).resolve()} --subject {count}"
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        harness.read_line(process.stdout, "ready", "the subject")
        return harness.Tracer("-p", process.pid, "-q", *options).result(interrupt=True)
    finally:
        harness.end(process)


class ReportPorts(unittest.TestCase):
    def setUp(self):
        if not harness.searches_through_bpf():
            self.skipTest("the last look is not taken here")

    def test_the_gauge_and_its_recording(self):
        with harness.scratch() as directory:
            outcome = traced(7, "--json", "--record", directory / "a.slk")
            (use,) = harness.parse_report(outcome)["ports"]
            self.assertEqual(("127.0.0.1", {"address": "127.0.0.1", "port": SERVER}, 7, RANGE, 70.0),
                             tuple(use[key] for key in ("local_address", "remote", "used", "range", "percent")))
            self.assertEqual(json.loads(outcome.stdout),
                             json.loads(harness.run(harness.SOCKLEAK, "report", "--json", directory / "a.slk").stdout))

    def test_text_tells_of_many(self):
        line = f"of {RANGE}) are used from 127.0.0.1 to 127.0.0.1:{SERVER}"
        self.assertIn("PORTS  60 % of the ephemeral ports (6 " + line, traced(6).stdout.decode())
        self.assertNotIn("PORTS", traced(5).stdout.decode())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--subject"]:
        subject(int(sys.argv[2]))
    else:
        harness.main()
