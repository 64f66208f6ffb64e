"""`sockleak check` on a Go program that forgets response.Body.Close(): package net/http dials in goroutines of its own, so
the leaking call is named through their ancestors. What idles in the transport's pool at the end is no leak."""

import http.server
import json
import sys
import threading
import unittest

import harness

BUILDS = ("go_http_body", "go_http_body_stripped")
NEW_BUILDS = ("newgo_http_body", "newgo_http_body_stripped")
TOGETHER = 6  # as in programs/go/http_body.go


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    together = threading.Barrier(TOGETHER)

    def do_GET(self):
        if self.path == "/together":
            self.together.wait(harness.TIMEOUT)
        self.send_response(503 if self.path == "/refused" else 200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(bytes(100))

    def log_message(self, *arguments):
        pass


class Backend(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients end without a word


def culprit(stack):
    return next((harness.place(frame) for frame in stack["frames"] if frame["function"].startswith("main.")), None)


def for_each_build(test):
    def run(self):
        for build in BUILDS + NEW_BUILDS:
            with self.subTest(build=build):
                if not (harness.PROGRAMS / build).exists():
                    self.skipTest("SOCKLEAK_NEW_GOROOT named no newer Go compiler when the tests were built")
                test(self, build)
    return run


class GoHttp(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.backend = Backend(("127.0.0.1", 0), Handler)
        threading.Thread(target=cls.backend.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.backend.shutdown()
        cls.backend.server_close()

    def check(self, build, *modes, options=()):
        with harness.scratch() as directory:
            truth = directory / "truth.json"
            url = f"http://127.0.0.1:{self.backend.server_address[1]}"
            outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", *options, "--", harness.PROGRAMS / build,
                                  url, *modes, "--truth", truth)
            return outcome, harness.parse_report(outcome), json.loads(truth.read_text())

    def assert_complete(self, report):
        harness.assert_promise_kept(self, report)
        for name in (*harness.STACK_LOSSES, "goroutines_lost", "go_runtimes_unknown"):
            self.assertEqual(0, harness.counter(report, name), name)

    def leak(self, outcome, report, truth):
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        self.assert_complete(report)
        self.assertEqual(1, len(report["findings"]), [finding["rules"] for finding in report["findings"]])
        finding = report["findings"][0]
        self.assertEqual((truth["leaked"], "connect"), (finding["leaked"], finding["origin"]), finding["rules"])
        self.assertIsNone(culprit(finding["created_at"]), harness.show(finding["created_at"]))
        statement = finding["goroutine_created_at"]["frames"][0]["function"]
        self.assertTrue(statement.startswith("net/http."), statement)
        return finding

    @for_each_build
    def test_the_caller_of_a_forgotten_body_is_named(self, build):
        outcome, report, truth = self.check(build)
        finding = self.leak(outcome, report, truth)
        self.assertGreater(truth["leaked"], 1)
        self.assertEqual(truth["leaked"] + 1, finding["created"], "one idles in the pool")
        caller = finding["goroutine_ancestors"][0]
        self.assertTrue(caller["exact"])
        self.assertEqual(truth["goroutine"], caller["goroutine"])
        self.assertEqual(harness.true_place(truth["called_at"]), culprit(caller["stack"]))
        self.assertEqual("runtime.goexit", caller["stack"]["frames"][-1]["function"])
        self.assertEqual([1], [ancestor["goroutine"] for ancestor in finding["goroutine_ancestors"][1:]])

    @for_each_build
    def test_a_replay_says_the_same(self, build):
        with harness.scratch() as directory:
            url = f"http://127.0.0.1:{self.backend.server_address[1]}"
            live = harness.run(harness.SOCKLEAK, "check", "-v", "--record", directory / "run.slk", "--",
                               harness.PROGRAMS / build, url, "--truth", "/dev/null")
            replay = harness.run(harness.SOCKLEAK, "report", "-v", directory / "run.slk")
            self.assertIn("called from  main.fetch", live.stdout.decode())
            self.assertEqual(live.stdout.decode(), replay.stdout.decode(), replay.stderr.decode())

    @for_each_build
    def test_without_ancestors_the_report_says_so(self, build):
        finding = self.leak(*self.check(build, options=("--go-ancestors", "0")))
        if "goroutine_ancestors" not in finding:
            self.assertIn("GODEBUG=tracebackancestors", finding["goroutine_ancestors_why"])
        for ancestor in finding.get("goroutine_ancestors", []):
            self.assertFalse(ancestor["exact"])

    @for_each_build
    def test_the_repaired_program_is_clean(self, build):
        outcome, report, _ = self.check(build, "--repaired")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assert_complete(report)
        self.assertEqual([], report["findings"])

    @for_each_build
    def test_a_pool_is_no_leak(self, build):
        outcome, report, _ = self.check(build, "--pool")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assert_complete(report)
        self.assertEqual([], report["findings"])
        self.assertEqual(TOGETHER, report["totals"]["open"])


if __name__ == "__main__":
    if not (harness.PROGRAMS / BUILDS[0]).exists():
        print("skipped: no Go compiler was found when the tests were built")
        sys.exit(harness.SKIPPED)
    harness.main()
