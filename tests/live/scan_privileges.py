"""With each privilege removed in turn, as an ordinary user and in containers: a right answer that says what is missing,
or one clear line; never a wrong one."""

import json
import re
import unittest

import harness
from scan_causes import Subject

CANNOT = 3
# What a common container runtime leaves to root.
CONTAINER = ("chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod,"
             "audit_write,setfcap").split(",")
# Sockets are listed with them, or with less knowledge; nothing else may be said.
LESS_KNOWN = {"in-flight": {"hidden", "unknown"}, "blocked-call": {"hidden", "unknown"}, None: {"hidden"}}


def all_capabilities():
    return harness.run("setpriv", "--list-caps").stdout.decode().split()


def without(*capabilities):
    return ("setpriv", "--bounding-set=" + ",".join("-" + name for name in capabilities), "--inh-caps=-all")


def container(*command, more=()):
    kept = ",".join("+" + name for name in (*CONTAINER, *more))
    return ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--cgroup", "--ipc", "--uts", "setpriv",
            f"--bounding-set=-all,{kept}", "--inh-caps=-all", *command)


def settings(sockleak):
    """Names of settings, and the command with which each begins."""
    for capability in all_capabilities():
        yield f"without {capability}", (*without(capability), sockleak)
    # CAP_SYS_ADMIN stands in for the two.
    yield "without bpf and sys_admin", (*without("bpf", "sys_admin"), sockleak)
    yield "without perfmon and sys_admin", (*without("perfmon", "sys_admin"), sockleak)
    yield "without sys_ptrace and sys_admin", (*without("sys_ptrace", "sys_admin"), sockleak)
    yield "without any", (*without("all"), sockleak)
    yield "an ordinary user", harness.as_nobody(sockleak)
    yield "a container", container(sockleak)
    yield "a container with BPF", container(sockleak, more=("bpf", "perfmon", "net_admin", "sys_ptrace"))
    yield "a privileged container", ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--cgroup", sockleak)
    yield "a user namespace", ("unshare", "--user", "--map-root-user", sockleak)


class Privileges(unittest.TestCase):
    maxDiff = None

    def each(self, look):
        """Calls look(name of a setting, its command) with each; several may fail."""
        with harness.scratch() as directory:
            for name, command in settings(harness.copy_for_everyone(harness.SOCKLEAK, directory)):
                with self.subTest(name):
                    look(name, command)

    def assert_one_line(self, outcome):
        self.assertEqual(b"", outcome.stdout)
        self.assertRegex(outcome.stderr.decode(), r"\Asockleak: [^\n]+; [^\n]+\n\Z")

    def test_scan(self):
        with Subject("mixture") as subject:
            inside = ("nsenter", f"--net=/proc/{subject.process.pid}/ns/net")
            methods = set()

            def look(_, command):
                outcome = harness.run(*inside, *command, "scan", "--json", "-q")
                self.assertEqual(0, outcome.returncode, outcome.stderr)
                report = json.loads(outcome.stdout)
                methods.add(report["method"])
                self.assertLessEqual(outcome.stderr.count(b"\n"), 1, outcome.stderr)
                if report["method"] == "sock_diag":
                    self.assertIn("CAP_BPF", " ".join(report["completeness"]["gaps"]))
                self.compare(report, subject)

            self.each(look)
            self.assertEqual({"bpf", "sock_diag"} if harness.searches_through_bpf() else {"sock_diag"}, methods)

    def compare(self, report, subject):
        shown = {(s["local"]["port"], s["remote"]["port"]): s for s in report["sockets"] if s["netns"] == subject.netns}
        for truth in subject.truth:
            sock = shown.get((truth["local"], truth["remote"]))
            self.assertIsNotNone(sock, truth)  # in our own network namespace nothing may be missing
            if sock["cause"] == truth["cause"]:
                if truth["cause"] is None:
                    self.assertEqual([subject.process.pid], [holder["pid"] for holder in sock["holders"]])
                continue
            self.assertIn(sock["cause"], LESS_KNOWN.get(truth["cause"], ()), (truth, sock))
            self.assertFalse(report["completeness"]["complete"])
            self.assertEqual([], [h for h in sock["holders"] if h["via"] == "fd"])
            if sock["cause"] == "hidden":
                self.assertIsNone(sock["ownerless"], sock)

    def test_destroy_dry_run(self):
        with Subject("mixture") as subject:
            inside = ("nsenter", f"--net=/proc/{subject.process.pid}/ns/net")
            truths = {(truth["local"], truth["remote"]): truth for truth in subject.truth}

            def look(_, command):
                outcome = harness.run(*inside, *command, "destroy", "--dry-run", "--json", "netns", "=",
                                      str(subject.netns))
                if outcome.returncode == CANNOT:
                    self.assert_one_line(outcome)
                    return
                self.assertEqual(0, outcome.returncode, outcome.stderr)
                for entry in json.loads(outcome.stdout)["sockets"]:
                    truth = truths.get((entry["local"]["port"], entry["remote"]["port"]))
                    if truth is None:
                        continue
                    self.assertIn(entry["cause"], (truth["cause"] or "held", "unknown", "hidden"), (truth, entry))
                    if entry["cause"] in ("unknown", "hidden"):
                        self.assertFalse(entry["allowed"], entry)
                    if entry["cause"] == "held":
                        self.assertEqual([subject.process.pid], [holder["pid"] for holder in entry["holders"]])

            self.each(look)

    def test_doctor_and_check_agree(self):
        """`doctor` says what is missing, and `check` finds the leak exactly where doctor says that it can."""
        program = harness.PROGRAMS / "connect_error_path"
        with harness.scratch() as directory:
            own = harness.copy_for_everyone(program, directory)

            def look(name, command):
                doctor = harness.run(*command, "doctor", "--json")
                facts = json.loads(doctor.stdout)
                self.assertEqual(0 if facts["can_trace"] else CANNOT, doctor.returncode)
                for feature in facts["features"]:
                    if not feature["present"]:
                        self.assertTrue(feature["detail"], feature)
                        self.assertTrue(feature["remedy"] or not feature["required"], feature)
                removed = re.fullmatch(r"without (\w+)", name)
                absent = {feature["name"] for feature in facts["features"] if not feature["present"]}
                if removed and removed[1] in ("net_admin", "sys_ptrace", "sys_admin"):
                    self.assertIn("CAP_" + removed[1].upper(), absent)
                outcome = harness.run(*command, "check", "--json", "-q", "--", own, "--truth", "/dev/stderr")
                if outcome.returncode == CANNOT:
                    self.assertFalse(facts["can_trace"], f"doctor says it can: {outcome.stderr}")
                    self.assert_one_line(outcome)
                    return
                self.assertTrue(facts["can_trace"], "doctor says it cannot")
                truth = json.loads([line for line in outcome.stderr.decode().splitlines() if line.startswith("{")][-1])
                report = harness.parse_report(outcome)
                self.assertEqual((1, truth["leaked"]), (outcome.returncode, report["totals"]["leaked"]), outcome.stderr)

            self.each(look)


if __name__ == "__main__":
    harness.main()
