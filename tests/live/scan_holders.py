"""`sockleak scan` and `ss -tanp` find the same holders: the same set of (socket, pid, fd)."""

import unittest

import harness
from socket_crowd import Crowd, holders_by_scan, holders_by_ss


class Holders(unittest.TestCase):
    def compare(self, crowd, command):
        ss = harness.run(*crowd.inside("ss", "-Htanp"))
        scan = harness.run(*command)
        self.assertEqual((0, 0), (ss.returncode, scan.returncode), scan.stderr.decode())
        by_ss, by_scan = holders_by_ss(ss.stdout), holders_by_scan(scan.stdout, crowd.netns)
        print(f"\n{len(by_ss)} holders by ss, {len(by_scan)} by scan", flush=True)
        self.method = harness.parse_report(scan)["method"]
        self.assertEqual(by_ss, by_scan)
        return by_ss

    def test_through_the_kernel_s_own_tables(self):
        with Crowd(10, 1000) as crowd:
            found = self.compare(crowd, (harness.SOCKLEAK, "scan", "--json", "netns", str(crowd.netns)))
            self.assertEqual(10 * 101, len(found))  # each has a listener, too

    def test_duplicated_and_inherited_descriptors(self):
        with Crowd(4, 120, mixed=True) as crowd:
            found = self.compare(crowd, (harness.SOCKLEAK, "scan", "--json", "netns", str(crowd.netns)))
            self.assertEqual(4 * 2 * (1 + 30 + 10), len(found))

    def test_through_sock_diag(self):
        with Crowd(4, 120, mixed=True) as crowd:
            self.compare(crowd, crowd.inside("setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-all",
                                             harness.SOCKLEAK, "scan", "--json"))
        self.assertEqual("sock_diag", self.method)


if __name__ == "__main__":
    harness.main()
