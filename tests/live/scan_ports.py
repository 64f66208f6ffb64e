"""The port gauge equals an oracle that really uses up a range of ten ports, in each way there is."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import harness

ORACLE = pathlib.Path(__file__).with_name("scan_port_oracle.py")


class Oracle:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(["unshare", "--net", sys.executable, str(ORACLE), *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(f"{arguments}: ended with {self.process.wait()}")

    def gauge(self):
        netns = os.stat(f"/proc/{self.process.pid}/ns/net").st_ino
        outcome = harness.run(harness.SOCKLEAK, "scan", "--json", "netns", str(netns))
        assert outcome.returncode == 0, outcome.stderr
        report = json.loads(outcome.stdout)
        return next(ports for ports in report["ports"] if ports["netns"] == netns)

    def ask(self, *question):
        """How many more sockets can be had that way, by trying."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(harness.TIMEOUT)
        self.process.stdout.close()


def used_towards(gauge, local, port):
    for use in gauge["destinations"]:
        if use["local_address"] == local and use["remote"]["port"] == port:
            return use["used"]
    return len(gauge["blocked"])


class Ports(unittest.TestCase):
    def check(self, scenario, questions, **sysctls):
        settings = [f"{name}={value}" for name, value in sysctls.items()]
        with Oracle(scenario, *settings) as oracle:
            gauge = oracle.gauge()
            self.assertEqual(gauge["range"], 10)
            for source, port in questions:
                free = 10 - used_towards(gauge, source, port)
                self.assertEqual(oracle.ask("connect", source, port), free, f"{scenario}: {source} -> {port}: {gauge}")
            return gauge

    def test_plain_connects_use_ports_of_one_destination(self):
        self.check("plain", [("127.0.0.1", 7001), ("127.0.0.1", 7002)])

    def test_bind_first_blocks_ports_for_everybody(self):
        gauge = self.check("bind_first", [("127.0.0.1", 7002)])
        self.assertEqual(len(gauge["blocked"]), 4)
        self.assertEqual([bind["used"] for bind in gauge["binds"]], [4])

    def test_reuseaddr_changes_nothing(self):
        self.check("bind_reuseaddr", [("127.0.0.1", 7002)])

    def test_no_port_binds_block_only_their_destination(self):
        gauge = self.check("bind_no_port", [("127.0.0.1", 7001), ("127.0.0.1", 7002)])
        self.assertEqual(gauge["blocked"], [])

    def test_another_source_address_has_its_own_ports(self):
        self.check("plain", [("127.0.0.2", 7001)])

    def test_listeners_inside_the_range_block_it(self):
        gauge = self.check("listeners", [("127.0.0.1", 7001)])
        self.assertEqual([blocked["listening"] for blocked in gauge["blocked"]], [True] * 4)

    def test_time_wait_without_reuse(self):
        self.check("time_wait", [("127.0.0.1", 7001)], tcp_tw_reuse=0)

    def test_time_wait_with_reuse_on_loopback_only_elsewhere(self):
        self.check("time_wait_elsewhere", [("10.77.0.1", 7001)], tcp_tw_reuse=2)

    def test_ipv6(self):
        self.check("plain6", [("::1", 7001)])


if __name__ == "__main__":
    harness.main()
