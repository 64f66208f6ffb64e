"""`trace --destroy` and `check --destroy`: what outlived its process in the hands of a program that cannot know of it is
destroyed, and nothing else; the report and the recording have the result."""

import os
import subprocess
import sys
import unittest

import handovers
import harness
import socket_holder

# A connection to itself that an executed program inherits by mistake. It ends with its input.
LEAVES = """
import os, socket
server = socket.create_server(("127.0.0.1", 0))
leaked = socket.create_connection(server.getsockname())
peer, _ = server.accept()
leaked.set_inheritable(True)
ready, executed = os.pipe()
if os.fork() == 0:
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    os.execv("/bin/cat", ["cat"])
os.close(executed)
os.read(ready, 1)
"""


class DestroyLeftovers(unittest.TestCase):
    def test_a_leftover_is_destroyed_and_the_report_says_so(self):
        with harness.scratch() as directory:
            recording = directory / "leftover.slk"
            truth, report = handovers.play(self, "leftover_exec", "--destroy", "--yes", "--record", recording)
            (told,) = (sock for sock in truth["sockets"] if sock["rule"])
            (action,) = report["actions"]["sockets"]
            self.assertEqual((told["cookie"], "done", True, "held"),
                             tuple(action[key] for key in ("cookie", "result", "allowed", "cause")))
            self.assertEqual([(h["pid"], h["fd"]) for h in told["holders"]],
                             [(h["pid"], h["fd"]) for h in action["holders"]])
            self.assertIn("has ended", action["why"])
            self.assertEqual(1, report["totals"]["leaked"], "it was one all the same")
            again = harness.parse_report(harness.run(harness.SOCKLEAK, "report", "--json", recording))
            self.assertEqual(report["actions"], again["actions"])

    def test_a_dry_run_leaves_it(self):
        _, report = handovers.play(self, "leftover_exec", "--destroy", "--dry-run")
        (action,) = report["actions"]["sockets"]
        self.assertEqual((True, None, True), (action["allowed"], action["result"], report["actions"]["dry_run"]))

    def test_what_is_suspected_or_handed_on_by_design_stays(self):
        for scenario in ("leftover_fork", "inetd", "systemd", "scm_received", "pidfd_getfd", "ring_slot"):
            with self.subTest(scenario=scenario):
                _, report = handovers.play(self, scenario, "--destroy", "--yes", "--older", "1ms")
                self.assertEqual([], report["actions"]["sockets"])

    def test_check_ends_what_its_command_left_behind_and_fails_all_the_same(self):
        its_input, ours = os.pipe()
        self.addCleanup(os.close, ours)
        with socket_holder.Holder() as bystander:
            bystander.tell("l = listener()", "c = connect(l)", "s = l.accept()[0]")
            outcome = subprocess.run(
                harness.with_hooks([harness.SOCKLEAK, "check", "--json", "-q", "--destroy", "--yes", "--",
                                    sys.executable, "-c", LEAVES]),
                stdin=its_input, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=harness.TIMEOUT, check=False)
            self.assertTrue(bystander.ask("alive(c, s)"))
        os.close(its_input)
        report = harness.parse_report(outcome)
        results = [(action["result"], action["holders"][0]["comm"]) for action in report["actions"]["sockets"]]
        self.assertEqual((1, [("done", "cat")]), (outcome.returncode, results))

    def test_it_acts_only_when_told_to(self):
        for options, words in ((["--destroy"], ("nobody to ask", "--yes", "--dry-run")),
                               (["--yes"], ("--destroy",)), (["--destroy", "--yes", "--dry-run"], ("exclude",))):
            outcome = harness.run(harness.SOCKLEAK, "check", *options, "--", "true")
            self.assertEqual(2, outcome.returncode)
            for word in words:
                self.assertIn(word, outcome.stderr.decode())


if __name__ == "__main__":
    harness.main()
