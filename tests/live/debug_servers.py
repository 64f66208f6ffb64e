"""Debug information from a server, which is asked only with --debuginfod; one that does not answer holds nothing up."""

import contextlib
import http.server
import json
import os
import re
import socket
import threading
import unittest

import harness

PROGRAM = harness.PROGRAMS / "native/plain.build-id"
TREE = harness.PROGRAMS / "native/debug-tree/.build-id"
SILENCE = "6"  # seconds: longer than the five after which sockleak asks no more


class Handler(http.server.BaseHTTPRequestHandler):
    """/buildid/ID/debuginfo, as debuginfod has it."""

    def do_GET(self):
        self.server.asked.append(self.path)
        request = re.fullmatch("/buildid/([0-9a-f]{2})([0-9a-f]+)/debuginfo", self.path)
        file = request and TREE / request[1] / f"{request[2]}.debug"
        if not file or not file.exists():
            self.send_error(404)
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def debug_server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server, server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def silent_server():
    """Takes connections and says nothing; -> those that it took, its port"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = []

        def take():
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield taken, listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()


class DebugServers(harness.TruthTest):
    def check(self, port, *options):
        with harness.scratch() as directory:
            truth = directory / "truth.json"
            environment = {**os.environ, "DEBUGINFOD_URLS": f"http://127.0.0.1:{port}/", "no_proxy": "127.0.0.1",
                           "DEBUGINFOD_CACHE_PATH": str(directory / "cache"), "DEBUGINFOD_TIMEOUT": SILENCE}
            outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", *options, "--", PROGRAM, "--truth", truth,
                                  env=environment)
            self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
            finding, = harness.parse_report(outcome)["findings"]
            return outcome, finding, json.loads(truth.read_text())

    def assert_nameless(self, finding, truth):
        self.assertEqual(truth["leaked"], finding["leaked"])
        own = next(f for f in finding["created_at"]["frames"] if harness.base_name(f["module"]) == PROGRAM.name)
        self.assertEqual((None, None, "no symbol and no debug information found"),
                         (own["function"], own["line"], own["why"]))

    def test_a_server_has_the_names(self):
        with debug_server() as (server, port):
            _, finding, truth = self.check(port, "--debuginfod")
            self.assert_finding_is_the_truth(finding, truth, PROGRAM.name)
            self.assertTrue(server.asked)

    def test_nobody_is_asked_unless_that_is_wanted(self):
        with debug_server() as (server, port):
            _, finding, truth = self.check(port)
            self.assert_nameless(finding, truth)
            self.assertEqual([], server.asked)

    def test_a_dead_server_is_a_missing_one(self):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        self.assert_nameless(*self.check(port, "--debuginfod")[1:])

    def test_a_silent_server_is_asked_once(self):
        with silent_server() as (taken, port):
            outcome, finding, truth = self.check(port, "--debuginfod")
            self.assert_nameless(finding, truth)
            self.assertIn(b"no server in DEBUGINFOD_URLS answers", outcome.stderr)
            self.assertEqual(1, len(taken), "the program and libc both have no debug information")


if __name__ == "__main__":
    harness.main()
