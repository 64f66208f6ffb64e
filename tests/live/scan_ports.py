"""The port gauge equals an oracle that really uses up a range of ten ports, in each way there is."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import harness

ORACLE = pathlib.Path(__file__).with_name("scan_port_oracle.py")
RANGE = 10
# From where to where: two destinations, two ports of one of them, two source addresses, and IPv6.
CONNECTS = (("127.0.0.1", "127.0.0.1", 7001), ("127.0.0.1", "127.0.0.1", 7002), ("127.0.0.2", "127.0.0.1", 7001),
            ("10.77.0.1", "10.77.0.1", 7001), ("10.77.0.1", "127.0.0.1", 7001), ("::1", "::1", 7001),
            ("::1", "::1", 7002))
BINDS = ("127.0.0.1", "127.0.0.2", "10.77.0.1", "::1")


class Oracle:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(["unshare", "--net", sys.executable, str(ORACLE), *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(f"{arguments}: ended with {self.process.wait()}")

    def netns(self):
        return str(os.stat(f"/proc/{self.process.pid}/ns/net").st_ino)

    def gauge(self):
        netns = int(self.netns())
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


def free_towards(gauge, source, address, port):
    for use in gauge["destinations"]:
        remote = use["remote"]
        if (use["local_address"], remote["address"], remote["port"]) == (source, address, port):
            return gauge["range"] - use["used"]
    return gauge["range"] - len(gauge["blocked"])


def free_for_bind(gauge, source):
    return next((gauge["range"] - use["used"] for use in gauge["binds"] if use["local_address"] == source), None)


class Ports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        report = json.loads(harness.run(harness.SOCKLEAK, "scan", "--json", "-q").stdout)
        if report["method"] != "bpf":
            assert "called bind()" in " ".join(report["completeness"]["gaps"]), report["completeness"]
            raise unittest.SkipTest("this kernel cannot be searched through BPF: what bind() blocks is not known, as scan says")

    def check(self, scenario, **sysctls):
        """Every question, each against the gauge of that moment; returns what the oracle said."""
        expected_range = sysctls.pop("expected_range", RANGE)
        settings = [f"{name}={value}" for name, value in sysctls.items()]
        with Oracle(scenario, *settings) as oracle:
            return self.compare(oracle, scenario, expected_range)

    def compare(self, oracle, scenario, expected_range=RANGE):
        truth = {}
        for question in CONNECTS:
            gauge = oracle.gauge()
            self.assertEqual(gauge["range"], expected_range)
            truth[question] = oracle.ask("connect", *question)
            self.assertEqual(truth[question], free_towards(gauge, *question), f"{scenario}: {question}: {gauge}")
        # Before 6.18 (d57f4b874946) a port stays taken by bind() after the socket that did it, such as the next question's.
        self.gauge = oracle.gauge()
        for source in BINDS:
            gauge = oracle.gauge()
            truth[source] = oracle.ask("bind", source)
            free = free_for_bind(gauge, source)
            if free is not None:  # it is measured where somebody binds
                self.assertEqual(truth[source], free, f"{scenario}: bind({source}): {gauge}")
        print(f"\n{scenario}: {truth}", flush=True)
        return truth

    def test_nothing_in_use(self):
        self.assertEqual({RANGE}, set(self.check("nothing").values()))

    def test_plain_connects_use_ports_of_one_destination(self):
        truth = self.check("plain")
        self.assertEqual([6, 10, 10, 10, 10, 10, 10], [truth[question] for question in CONNECTS])

    def test_a_used_up_destination(self):
        self.assertEqual(0, self.check("exhausted")[CONNECTS[0]])
        self.assertEqual(100.0, max(use["percent"] for use in self.gauge["destinations"]))

    def test_a_limit_for_monitoring(self):
        for scenario, status, said in (("exhausted", 1, "limit exceeded: "), ("nothing", 0, "")):
            with self.subTest(scenario), Oracle(scenario) as oracle:
                outcome = harness.run(harness.SOCKLEAK, "scan", "-q", "--max-port-use", "60", "netns", oracle.netns())
                self.assertEqual(status, outcome.returncode, outcome.stderr.decode())
                self.assertIn(said, outcome.stderr.decode())

    def test_repeated_looks(self):
        """What was used meanwhile, and when there will be nothing left at that pace."""
        with Oracle("plain") as oracle:
            with subprocess.Popen([harness.SOCKLEAK, "scan", "--json", "-q", "-i", "10ms", "-d", "2s", "netns", oracle.netns()],
                                  stdout=subprocess.PIPE) as scan:
                text = scan.stdout.read().decode().lstrip()
        looks = []
        while text:
            look, end = json.JSONDecoder().raw_decode(text)
            looks.append(look)
            text = text[end:].lstrip()
        self.assertEqual(0, scan.returncode)
        self.assertGreaterEqual(len(looks), 2)
        self.assertLess(looks[0]["time"], looks[-1]["time"])

    def test_bind_first_blocks_ports_for_everybody(self):
        truth = self.check("bind_first")
        self.assertEqual({6}, {truth[question] for question in CONNECTS[:5]})
        self.assertEqual(6, truth["127.0.0.1"])
        self.assertEqual(10, truth["127.0.0.2"], "another source address has its own")
        self.assertEqual(4, len(self.gauge["blocked"]))
        self.assertEqual(6, free_for_bind(self.gauge, "127.0.0.1"))

    def test_bind_first_until_nothing_is_left(self):
        truth = self.check("bind_first_exhausted")
        self.assertEqual({0}, {truth[question] for question in CONNECTS[:5]})

    def test_reuseaddr_changes_nothing(self):
        truth = self.check("bind_reuseaddr")
        self.assertEqual({6}, {truth[question] for question in CONNECTS[:5]})

    def test_sockets_that_are_only_bound(self):
        truth = self.check("bind_only")
        self.assertEqual({6}, {truth[question] for question in CONNECTS[:5]})

    def test_no_port_binds_block_only_their_destination(self):
        truth = self.check("no_port_twice")
        self.assertEqual([6, 6, 10], [truth[question] for question in CONNECTS[:3]])
        self.assertEqual(self.gauge["blocked"], [])

    def test_two_source_addresses_have_ports_of_their_own(self):
        truth = self.check("two_sources")
        self.assertEqual([6, 10, 7], [truth[question] for question in CONNECTS[:3]])

    def test_listeners_inside_the_range_block_it(self):
        truth = self.check("listeners")
        self.assertEqual({6}, {truth[question] for question in CONNECTS[:5]})
        self.assertEqual([blocked["listening"] for blocked in self.gauge["blocked"]], [True] * 4)

    def test_a_listener_for_both_families_blocks_both(self):
        self.assertEqual({7}, set(self.check("listeners6").values()))

    def test_reserved_ports_are_no_ports(self):
        truth = self.check("plain", ip_local_reserved_ports="40000-40001,40005", expected_range=7)
        self.assertEqual([3, 7], [truth[question] for question in CONNECTS[:2]])

    def test_ipv6(self):
        truth = self.check("plain6")
        self.assertEqual([6, 10], [truth[question] for question in CONNECTS[5:]])

    def test_ipv6_bind_first(self):
        truth = self.check("bind_first6")
        self.assertEqual([6, 6], [truth[question] for question in CONNECTS[5:]])

    def test_time_wait_without_reuse(self):
        self.assertEqual(6, self.check("time_wait", tcp_tw_reuse=0)[CONNECTS[0]])

    def test_time_wait_with_reuse_on_loopback_only_is_none_elsewhere(self):
        self.assertEqual(6, self.check("time_wait_elsewhere", tcp_tw_reuse=2)[CONNECTS[3]])

    def reused_after_its_delay(self, scenario, reuse, question):
        """Not before its delay, entirely after it. Waits for the gauge to say so, then asks."""
        with Oracle(scenario, f"tcp_tw_reuse={reuse}") as oracle:
            delay = pathlib.Path(f"/proc/{oracle.process.pid}/root/proc/sys/net/ipv4/tcp_tw_reuse_delay")
            if delay.exists():
                oracle.ask("set", "tcp_tw_reuse_delay=60000")
                gauge = oracle.gauge()
                self.assertEqual(6, free_towards(gauge, *question), gauge)
                self.assertEqual(6, oracle.ask("connect", *question))
                oracle.ask("set", "tcp_tw_reuse_delay=1")
            while free_towards(oracle.gauge(), *question) < RANGE:
                pass  # a second at most
            self.assertEqual(RANGE, oracle.ask("connect", *question))

    def test_time_wait_with_reuse(self):
        self.reused_after_its_delay("time_wait_elsewhere", 1, CONNECTS[3])

    def test_time_wait_with_reuse_on_loopback(self):
        self.reused_after_its_delay("time_wait", 2, CONNECTS[0])

    def test_ipv6_time_wait(self):
        self.assertEqual(6, self.check("time_wait6", tcp_tw_reuse=0)[CONNECTS[5]])
        self.reused_after_its_delay("time_wait6", 2, CONNECTS[5])


if __name__ == "__main__":
    harness.main()
