"""What is said of every kind of socket: field by field what `programs/kinds.c` knows of it."""

import contextlib
import json
import subprocess
import unittest

import harness

PROGRAM = harness.PROGRAMS / "kinds"


@contextlib.contextmanager
def kinds(*options):
    process = subprocess.Popen([PROGRAM, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        harness.read_line(process.stdout, "ready", "kinds")
        yield process
    finally:
        harness.end(process)


def play(command, *options, before=False):
    """The truth and what sockleak says of it."""
    with kinds(*["--before"] * before) as process:
        tracer = harness.Tracer("-p", process.pid, "--json", "-v", "-q", *options, command=command)
        process.stdin.write("\n")
        process.stdin.flush()
        truth = json.loads(process.stdout.readline())
        if command == "check":
            process.stdin.close()
            process.wait(harness.TIMEOUT)
        outcome = tracer.result(interrupt=command == "trace")
    return truth, harness.parse_report(outcome)


def site_key(site):
    frame = harness.own_place(site["created_at"], PROGRAM.name)
    return frame and (frame["function"], frame["line"])


class Kinds(unittest.TestCase):
    maxDiff = None

    def rows(self, truth, types=None):
        """Those that could be made, and are watched."""
        return [row for row in truth["sockets"]
                if "cannot" not in row and (not types or row["protocol"] in types)]

    def assert_complete(self, report):
        harness.assert_promise_kept(self, report)
        for name in ("closes_without_open", "accepts_without_cookie", *harness.STACK_LOSSES):
            self.assertEqual(0, harness.counter(report, name), name)

    def assert_socket(self, sock, row, truth):
        self.assertEqual((row["protocol"], row["origin"], row["state"]), tuple(sock[key] for key in ("protocol", "origin", "state")))
        self.assertEqual([(truth["pid"], row["fd"], "fd")], [(h["pid"], h["fd"], h["via"]) for h in sock["holders"]])
        for end in ("local", "remote"):
            if row[end]:
                self.assertEqual(row[end], sock[end], end)
        self.assertTrue(sock["accepted"])
        for key in ("type", "path", "peer_path") if row["protocol"] == "unix" else ():
            self.assertEqual(row[key], sock[key] or "", key)

    def check(self, types=None):
        truth, report = play("trace", *(["-t", ",".join(types)] if types else []))
        self.assert_complete(report)
        opened = {sock["inode"]: sock for sock in report["open_sockets"]}
        self.assertEqual(len(opened), len({sock["cookie"] for sock in report["open_sockets"]}))
        sites = {site_key(site) + (site["origin"],): site for site in report["sites"]}
        rows = self.rows(truth, types)
        for row in rows:
            with self.subTest(row["kind"], types=types):
                sock = opened.pop(row["inode"])
                self.assert_socket(sock, row, truth)
                self.assertEqual(truth["pid"], sock["creator"]["pid"])
                site = sites[row["function"], row["line"], row["origin"]]
                self.assertEqual(row["protocol"], site["protocol"])
                self.assertTrue(harness.is_whole(site["created_at"]), harness.show(site["created_at"]))
                self.assertEqual((2, 1), (site["created"], site["closed"]))
                self.assertEqual([("close", 1)], [(close["how"], close["count"]) for close in site["closed_at"]])
        self.assertEqual([], list(opened.values()), "nothing else is followed")
        self.assertEqual((2 * len(rows), len(rows), len(rows)), tuple(report["totals"][key] for key in ("created", "closed", "open")))
        return truth, report

    def test_every_field(self):
        truth, _ = self.check()
        for row in truth["sockets"]:
            with self.subTest(row["kind"]):
                if "cannot" in row:
                    self.skipTest(f"{row['kind']}: {row['cannot']}")

    def test_only_some(self):
        for types in (["tcp"], ["udp", "mptcp"], ["raw"], ["icmp"], ["unix"]):
            _, report = self.check(types)
            self.assertEqual(types, report["target"]["types"])

    def test_from_before_the_attach(self):
        truth, report = play("trace", before=True)
        self.assert_complete(report)
        opened = {sock["inode"]: sock for sock in report["open_sockets"]}
        for row in self.rows(truth):
            with self.subTest(row["kind"]):
                self.assert_socket(opened.pop(row["inode"]), {**row, "origin": "before-attach"}, truth)
        self.assertEqual([], list(opened.values()))

    def test_what_is_open_at_the_end_of_the_process_is_a_leak_of_every_kind(self):
        truth, report = play("check")
        self.assert_complete(report)
        accused = {site_key(finding) + (finding["origin"],): finding for finding in report["findings"]}
        for row in self.rows(truth):
            with self.subTest(row["kind"]):
                place = (row["function"], row["line"], row["origin"])
                if row["origin"] == "accept" and place not in accused:
                    continue  # its peer lives: it may have been in use
                finding = accused.pop(place)
                kept = row["state"] == "LISTEN" or row["origin"] in ("accept", "socketpair")
                self.assertEqual(("suspect" if kept else "leak", 2, 1, 1, row["protocol"]),
                                 tuple(finding[key] for key in ("verdict", "created", "closed", "leaked", "protocol")))
                self.assertEqual(["open-at-exit"], [rule["rule"] for rule in finding["rules"]])
        self.assertEqual([], list(accused))


if __name__ == "__main__":
    harness.main()
