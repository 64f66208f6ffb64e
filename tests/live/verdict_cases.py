"""What must be said of each program in `tests/cases`: kinds of leaks that were once missed are found, by line, and kinds of sound programs
that were once accused are not. All rows run beside each other."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import unittest

import harness

CASES = harness.REPOSITORY / "tests/cases"
BUILT = pathlib.Path(os.environ.get("SOCKLEAK_CASES", harness.PROGRAMS.parent / "cases"))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
TOGETHER = 8
MARK = re.compile(r"(//|#) opened here")


class Missing(Exception):
    """What a row needs and this machine has not."""


def needs(tool):
    found = shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin")
    if not found:
        raise Missing(f"{tool} is not installed")
    return found


def built(name):
    if not (BUILT / name).exists():
        raise Missing(f"{name} was not built: no compiler for it")
    return BUILT / name


def marked_line(name):
    """The one line of a case's source that opens the sockets."""
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if MARK.search(line))


# --- running --------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def background(*command):
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        harness.end(process, signal.SIGKILL)


@contextlib.contextmanager
def slow_server():
    with background(PYTHON, CASES / "slow_server.py") as server:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/"


@contextlib.contextmanager
def listening_sshd(directory):
    """In a network namespace of its own, with its files in `directory`."""
    command = ["unshare", "--net", CASES / "sshd_sessions_outlive.sh", directory]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        harness.read_until(process.stderr, "Server listening", "sshd")
        yield process
    finally:
        harness.end(process, signal.SIGKILL)


def trace(command, *options):
    """The program begins its load once it is watched."""
    with background(*command) as process:
        tracer = harness.Tracer("-p", process.pid, "--json", "-q", *options)
        process.stdin.write("\n")
        process.stdin.flush()
        return tracer.result()


def check(command, *options):
    """The report goes to a file: what the command leaves behind has its stdout too, and would hold a pipe open."""
    return harness.Tracer("--json", "-q", *options, "--", *command, command="check").result()


# --- judging --------------------------------------------------------------------------------------------------------

def opened_at(finding):
    """File, line and function of the program's innermost frame, in whatever language; in Go also of who started the goroutine."""
    stacks = [finding["created_at"], *(ancestor["stack"] for ancestor in finding.get("goroutine_ancestors") or [])]
    for frame in (frame for stack in stacks for frame in stack["frames"]):
        if frame.get("line") and (CASES / harness.base_name(frame.get("file"))).is_file():
            return harness.place(frame)
    return None


def said(report):
    """For the messages of failed assertions."""
    lines = [f"{one['verdict']} {one['leaked']} of {one['created']} {one['confidence']} {one['protocol']} {one['origin']} {one['states']} "
             f"{[rule['rule'] for rule in one['rules']]} at {opened_at(one)}" for one in report["findings"]]
    return "\n".join(["", *lines, str(report["totals"]), str(report["completeness"])])


class VerdictCases(unittest.TestCase):
    maxDiff = None

    def accused(self, report, verdicts=("leak", "suspect"), least=0.5):
        harness.assert_promise_kept(self, report)
        return [one for one in report["findings"] if one["verdict"] in verdicts and one["confidence"] >= least]

    def assert_leak(self, outcome, leaked, created, rules, source=None, function=None, status=0, verdicts=("leak",), protocol=None):
        """One finding, with these counts, by one of these rules, opened where the source says; nobody else is accused."""
        report = harness.parse_report(outcome)
        self.assertEqual(status, outcome.returncode, said(report))
        findings = self.accused(report, ("leak", "suspect", "inherited", "ownerless"))
        self.assertEqual(1, len(findings), said(report))
        finding = findings[0]
        self.assertIn(finding["verdict"], verdicts, said(report))
        self.assertIn(finding["leaked"], [leaked] if isinstance(leaked, int) else leaked, said(report))
        self.assertIn(finding["created"], [created] if isinstance(created, int) else created, said(report))
        self.assertTrue(set(rules) & {rule["rule"] for rule in finding["rules"]}, said(report))
        if source:
            self.assertEqual({"file": source, "line": marked_line(source), "function": function}, opened_at(finding), said(report))
        if protocol:
            self.assertEqual(protocol, finding["protocol"])
        return report, finding

    def assert_innocent(self, outcome, at_least, status=0):
        """`at_least`: so many sockets were seen, or the row shows nothing."""
        report = harness.parse_report(outcome)
        self.assertEqual(0, len(self.accused(report, ("leak", "suspect", "inherited"))), said(report))
        self.assertEqual(0, report["totals"]["leaked"], said(report))
        self.assertGreaterEqual(report["totals"]["created"], at_least, said(report))
        self.assertEqual(status, outcome.returncode, outcome.stderr.decode())

    # --- leaks that were missed ---

    def row_growth_plateau(self):
        outcome = trace([built("growth_plateau")], "-d", "22s")
        self.assert_leak(outcome, 20, 60, ["abandoned", "survivor"], "growth_plateau.c", "ask")

    def row_quiet_tail_refused(self):
        outcome = trace([built("quiet_tail_refused")], "-d", "25s", "--older", "3s")
        _, finding = self.assert_leak(outcome, 50, 550, ["invisible"], "quiet_tail_refused.c", "visit")
        self.assertEqual({"CLOSE": 50}, finding["states"])

    def row_periodic(self):
        outcome = trace([built("periodic")], "-d", "26s", "-i", "2s")
        self.assert_leak(outcome, range(20, 26), 25, ["abandoned", "survivor"], "periodic.c", "probe")

    def row_syn_sent_given_up(self):
        outcome = trace([built("syn_sent_given_up")], "-d", "15s", "--older", "3s")
        _, finding = self.assert_leak(outcome, 40, 40, ["given-up"], "syn_sent_given_up.c", "call")
        self.assertEqual({"SYN_SENT": 40}, finding["states"])

    def row_unix_false_close_traced(self):
        outcome = trace([built("unix_false_close"), 2000, 25], "-d", "22s")
        report, finding = self.assert_leak(outcome, range(400, 4000), range(400, 4000), ["abandoned"], "unix_false_close.c", "make_pair")
        self.assertEqual(0, report["totals"]["closed"], "no close was seen where there was none")
        self.assertGreater(finding["leaked"], 0.8 * finding["created"], said(report))

    def row_unix_false_close_checked(self):
        outcome = check([built("unix_false_close"), 400, 0, "--end"])
        report, _ = self.assert_leak(outcome, 800, 800, ["open-at-exit"], "unix_false_close.c", "make_pair", status=1)
        self.assertEqual(0, report["totals"]["closed"])

    def row_unix_check_always(self):
        self.assert_leak(check([built("unix_check"), 1]), 12, 12, ["open-at-exit"], "unix_check.c", "bus", status=1)

    def row_unix_check_sometimes(self):
        self.assert_leak(check([built("unix_check"), 3]), 4, 12, ["open-at-exit"], "unix_check.c", "bus", status=1)

    def row_unix_never_connected(self):
        self.assert_leak(check([built("unix_never_connected")]), 30, 30, ["open-at-exit"], "unix_never_connected.c", "dial", status=1)

    def row_jit_splits_site(self):
        command = [needs("node"), "--allow-natives-syntax", "--no-deprecation", CASES / "jit_splits_site.js"]
        report = harness.parse_report(trace(command, "-d", "24s"))
        leaks = self.accused(report, ("leak",))
        self.assertEqual({"connect"}, {one["origin"] for one in leaks}, said(report))
        opened = sum(site["created"] for site in leaks)
        self.assertGreater(opened, 3 * 26, f"all tiers, of which there are some:{said(report)}")
        self.assertGreater(len(leaks), 1, said(report))
        self.assertAlmostEqual(0.5, sum(one["leaked"] for one in leaks) / opened, delta=0.1, msg=said(report))

    def row_go_client_per_call(self):
        with slow_server() as url:
            outcome = check([built("go_client_per_call"), url])
        self.assert_leak(outcome, range(36, 41), 40, ["abandoned", "open-at-exit"], "go_client_per_call.go", "main.refresh", status=1)

    def row_closed_at_shutdown(self):
        outcome = check([built("closed_at_shutdown")], "--older", "3s")
        self.assert_leak(outcome, 20, 200, ["close-wait"], "closed_at_shutdown.c", "serve", status=1)

    def row_python_check(self):
        outcome = check([PYTHON, CASES / "python_check.py"])
        self.assert_leak(outcome, 15, 15, ["reclaimed-late"], "python_check.py", "open_probe", verdicts=("leak", "suspect"))

    def creator_first(self, mode, *options):
        outcome = check([built("creator_first"), mode], *options)
        self.assert_leak(outcome, 5, 5, ["open-at-exit"], "creator_first.c", "opens", status=1)

    def row_creator_first_alone(self):
        self.creator_first("alone")

    def row_creator_first_child_first(self):
        self.creator_first("child-first")

    def row_creator_first_unwaited(self):
        self.creator_first("unwaited")

    def row_creator_first_creator_first(self):
        self.creator_first("creator-first")

    def row_creator_first_creator_first_settled(self):
        self.creator_first("creator-first", "--settle", "1s")

    def row_creator_first_creator_later(self):
        self.creator_first("creator-later")

    def row_creator_first_creator_later_settled(self):
        self.creator_first("creator-later", "--settle", "1s")

    def row_listener_inherited(self):
        with harness.scratch() as directory:
            os.mkfifo(directory / "job")
            job = os.open(directory / "job", os.O_RDWR)  # its writer; also its first reader, so that nobody waits to open it
            try:
                outcome = check([built("listener_inherited"), directory / "job"])
                repaired = check([built("listener_inherited"), directory / "job", "--cloexec"])
            finally:
                os.close(job)
        _, finding = self.assert_leak(outcome, 1, 1, ["outlived-creator", "inherited"], "listener_inherited.c", "main", status=1,
                                      verdicts=("inherited",))
        self.assertEqual({"LISTEN": 1}, finding["states"])
        self.assert_innocent(repaired, 1)

    def row_scan_families(self):
        outcome = check([built("scan_families")])
        report, _ = self.assert_leak(outcome, 60, 60, ["open-at-exit"], "scan_families.c", "local", status=1, protocol="unix")
        self.assertEqual([{"family": "netlink", "count": 60}], report["other_families"])

    # --- sound programs that were accused ---

    def row_go_pool_steps(self):
        with slow_server() as url:
            self.assert_innocent(trace([built("go_pool_steps"), url], "-d", "24s"), at_least=20)

    def row_login_ramp(self):
        with background(PYTHON, CASES / "login_ramp_server.py") as server:
            port = int(server.stdout.readline())
            tracer = harness.Tracer("-p", server.pid, "--json", "-q", "-d", "22s")
            with background(PYTHON, CASES / "login_ramp_driver.py", port):
                outcome = tracer.result()
        self.assert_innocent(outcome, at_least=20)

    def sigterm_held_clients(self, how, status):
        with harness.scratch() as directory:
            os.mkfifo(directory / "told")
            tracer = harness.Tracer("--json", "-q", "--", PYTHON, CASES / "sigterm_held_clients.py", how, directory / "told",
                                    command="check")
            os.kill(int((directory / "told").read_text(encoding="ascii")), signal.SIGTERM)
            self.assert_innocent(tracer.result(), at_least=42, status=status)

    def row_sigterm_handled(self):
        self.sigterm_held_clients("handler", 0)

    def row_sigterm_unhandled(self):
        self.sigterm_held_clients("default", 128 + signal.SIGTERM)

    def row_node_keepalive_exit(self):
        self.assert_innocent(check([needs("node"), CASES / "node_keepalive_exit.js"]), at_least=4)

    def row_sshd_sessions_outlive(self):
        for tool in ("sshd", "ssh", "ssh-keygen", "unshare", "nsenter", "ip"):
            needs(tool)
        with harness.scratch() as directory, contextlib.ExitStack() as stack:
            sshd = stack.enter_context(listening_sshd(directory))
            tracer = harness.Tracer("-p", sshd.pid, "--json", "-q")
            sessions = [stack.enter_context(background("nsenter", "--target", sshd.pid, "--net", "ssh", "-F", directory / "client",
                                                       "session", "echo up; exec cat")) for _ in range(3)]
            for session in sessions:
                harness.read_line(session.stdout, "up", "ssh")
            harness.end(sshd)
            outcome = tracer.result(interrupt=True)
        self.assert_innocent(outcome, at_least=3)

    def test_every_case(self):
        rows = [name for name in dir(self) if name.startswith("row_") and re.search(os.environ.get("SOCKLEAK_CASE", ""), name)]
        self.assertTrue(rows)
        with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
            ran = {name: pool.submit(getattr(self, name)) for name in rows}
        for name, row in ran.items():
            with self.subTest(name.removeprefix("row_")):
                try:
                    row.result()
                except Missing as why:
                    print(f"skipped {name.removeprefix('row_')}: {why}", flush=True)


if __name__ == "__main__":
    harness.main()
