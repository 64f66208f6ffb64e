"""`sockleak check` on Go programs, in the builds that leave less and less in the file: without debug information, frame
pointers alone or C's unwind tables, every frame has its function and line and the leaking call is named."""

import json
import socket
import subprocess
import sys
import unittest

import harness

BUILDS = ("go_error_path", "go_error_path_stripped", "go_error_path_pie", "go_error_path_external")
NEW_BUILDS = ("newgo_error_path", "newgo_error_path_stripped", "newgo_error_path_pie", "newgo_error_path_external")


def check(program, *options):
    with harness.scratch() as directory:
        truth = directory / "truth.json"
        outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", "--", harness.PROGRAMS / program, "--truth",
                              truth, *options)
        return outcome, harness.parse_report(outcome), json.loads(truth.read_text())


def culprit(stack):
    """The innermost function that is the program's own: Go's packages lie in the same file."""
    return next((harness.place(frame) for frame in stack["frames"] if frame["function"].startswith("main.")), None)


class GoPrograms(unittest.TestCase):
    maxDiff = None

    def assert_whole(self, stack):
        self.assertFalse(stack["truncated"], harness.show(stack))
        self.assertEqual("runtime.goexit", stack["frames"][-1]["function"], harness.show(stack))
        for frame in stack["frames"]:
            self.assertEqual("go", frame["kind"], frame)
            self.assertTrue(frame["function"] and frame["file"] and frame["line"], frame)

    def assert_complete(self, report, but=()):
        harness.assert_promise_kept(self, report)
        for name in (*harness.STACK_LOSSES, "frames_unverified", "goroutines_lost", "go_runtimes_unknown"):
            if name not in but:
                self.assertEqual(0, harness.counter(report, name), name)

    def test_a_forgotten_close_is_named_to_the_line(self):
        self.name_a_forgotten_close(BUILDS)

    def test_the_same_with_a_newer_go(self):
        if not (harness.PROGRAMS / NEW_BUILDS[0]).exists():
            self.skipTest("SOCKLEAK_NEW_GOROOT named no newer Go compiler when the tests were built")
        self.name_a_forgotten_close(NEW_BUILDS)

    def name_a_forgotten_close(self, builds):
        sites = set()
        for build in builds:
            with self.subTest(build=build):
                outcome, report, truth = check(build)
                self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
                self.assert_complete(report)
                self.assertEqual(1, len(report["findings"]), [f["rules"] for f in report["findings"]])
                finding = report["findings"][0]
                self.assertEqual((truth["created"], truth["created"] - truth["leaked"], truth["leaked"], "connect"),
                                 (finding["created"], finding["closed"], finding["leaked"], finding["origin"]))
                self.assert_whole(finding["created_at"])
                self.assertEqual(harness.true_place(truth["created_at"]), culprit(finding["created_at"]))
                self.assertEqual([truth["goroutine"]], [creator["goroutine"] for creator in finding["creators"]])
                self.assertEqual(harness.true_place(truth["goroutine_created_at"]),
                                 harness.place(finding["goroutine_created_at"]["frames"][0]))
                functions = [frame["function"] for frame in finding["created_at"]["frames"]]
                self.assertTrue({"syscall.Socket", "net.Dial", "main.placeOrders"} <= set(functions), functions)
                closes = [close for close in finding["closed_at"] if close["how"] == "close"]
                self.assertEqual([(harness.true_place(close), close["count"]) for close in truth["closed_at"]],
                                 [(culprit(close["stack"]), close["count"]) for close in closes])
                for close in closes:
                    self.assert_whole(close["stack"])
                self.assertEqual([(truth["leaked"], "recv → data", harness.true_place(truth["touched_at"]))],
                                 [(touch["count"], touch["what"], culprit(touch["stack"]))
                                  for touch in finding["last_touched_at"]])
                sites.add(finding["site"])
        self.assertEqual(1, len(sites), "a site has the same fingerprint in every build")

    def test_c_code_called_by_go_is_walked_through(self):
        """Its stack is another than the goroutine's."""
        for build in ("go_cgo_socket", "newgo_cgo_socket"):
            with self.subTest(build=build):
                if not (harness.PROGRAMS / build).exists():
                    self.skipTest("SOCKLEAK_NEW_GOROOT named no newer Go compiler when the tests were built")
                outcome, report, truth = check(build)
                self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
                # A copy of the C code's stack does not reach the goroutine's: the first walk of a path ends between them.
                self.assert_complete(report, but=("stacks_unreadable",))
                findings = report["findings"]
                self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in findings))
                whole = dict.fromkeys(("created_at", "closed_at", "touched_at"), 0)
                for finding in findings:
                    closes = [close["stack"] for close in finding["closed_at"] if close["how"] == "close"]
                    touches = [touch["stack"] for touch in finding["last_touched_at"]]
                    for place, stacks in (("created_at", [finding["created_at"]]), ("closed_at", closes), ("touched_at", touches)):
                        for stack in stacks:
                            self.assertEqual(harness.true_place(truth[place]), harness.own_place(stack, build), harness.show(stack))
                            if stack["truncated"]:
                                self.assertEqual("user memory was not readable", stack["why"], harness.show(stack))
                                continue
                            self.assertEqual("runtime.goexit", stack["frames"][-1]["function"], harness.show(stack))
                            if place == "created_at":
                                caller = next(frame for frame in stack["frames"] if frame["function"] == "main.placeOrder")
                                self.assertEqual(harness.true_place(truth["called_at"]), harness.place(caller))
                            whole[place] += 1
                    self.assertEqual([truth["goroutine"]], [creator["goroutine"] for creator in finding["creators"]])
                print(f"{build}: whole stacks {whole}")  # how many depends on how soon the rules are there
                outcome, report, _ = check(build, "--repaired")
                self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
                self.assertEqual([], report["findings"])

    def waiting_parent(self, build):
        """The truth of programs/go/waiting_parent.go and the finding on it, attached to while its parent waits."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            program = subprocess.Popen([harness.PROGRAMS / build, "%s:%d" % server.getsockname()],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                tracer = harness.Tracer("--json", "--older", "0ms", "-p", str(program.pid))
                program.stdin.write(b"x")
                program.stdin.flush()
                truth = json.loads(program.stdout.readline())
                for _ in range(5):
                    server.accept()[0].close()
                report = harness.parse_report(tracer.result(interrupt=True))
            finally:
                harness.end(program)
        self.assertEqual(1, len(report["findings"]), report["findings"])
        return truth, report["findings"][0]

    def test_a_parent_that_waits_is_found(self):
        for build in ("go_waiting_parent", "newgo_waiting_parent"):
            with self.subTest(build=build):
                if not (harness.PROGRAMS / build).exists():
                    self.skipTest("SOCKLEAK_NEW_GOROOT named no newer Go compiler when the tests were built")
                truth, finding = self.waiting_parent(build)
                self.assert_whole(finding["created_at"])
                if int(truth["go"].split(".")[1]) < 21:  # such releases keep no parent
                    self.assertNotIn("goroutine_ancestors", finding)
                    continue
                parent, = finding["goroutine_ancestors"]
                self.assertFalse(parent["exact"])
                self.assertEqual(truth["goroutine"], parent["goroutine"])
                self.assert_whole(parent["stack"])
                self.assertEqual(harness.true_place(truth), culprit(parent["stack"]))

    def test_the_repaired_program_is_clean(self):
        for build in (*BUILDS, *NEW_BUILDS):
            with self.subTest(build=build):
                if not (harness.PROGRAMS / build).exists():
                    self.skipTest("SOCKLEAK_NEW_GOROOT named no newer Go compiler when the tests were built")
                outcome, report, _ = check(build, "--repaired")
                self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
                self.assert_complete(report)
                self.assertEqual([], report["findings"])


if __name__ == "__main__":
    if not (harness.PROGRAMS / BUILDS[0]).exists():
        print("skipped: no Go compiler was found when the tests were built")
        sys.exit(harness.SKIPPED)
    harness.main()
