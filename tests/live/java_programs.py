"""`sockleak trace` on Java programs as they are: every JVM that is found, methods that are interpreted, compiled by either
compiler and inlined, no flag in the program and no perf map. Functions, files and lines are the program's truth."""

import glob
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
import jit_programs

JAVAC = shutil.which("javac")
PROGRAM = harness.REPOSITORY / "tests/programs/java/ErrorPath.java"
OLDEST = 17
FIRST_VIRTUAL = 21
POOLED = 5  # http.maxConnections
LOSSES = ("interpreters_unknown", "stacks_insane", "stacks_unreadable", "stacks_without_rule", "stacks_contended")

# Compiled after a few calls, before the next one. C2 inlines what is on the way.
C1 = ("-Xbatch", "-XX:Tier0InvokeNotifyFreqLog=0", "-XX:TieredStopAtLevel=1", "-XX:Tier3InvocationThreshold=5",
      "-XX:Tier3MinInvocationThreshold=2", "-XX:Tier3CompileThreshold=5")
C2 = ("-Xbatch", "-XX:-TieredCompilation", "-XX:CompileThreshold=40")
WAYS = {  # JVM flags, requests before the first one that counts, whether the program's methods are compiled by then
    "default flags, cold": ((), 0, False),
    "-Xint": (("-Xint",), 5, False),
    "C1": (C1, 60, True),
    "C1, nothing inlined": ((*C1, "-XX:-Inline"), 60, True),
    "C2": (C2, 200, True),
    "frame pointers": ((*C2, "-XX:+PreserveFramePointer"), 200, True),
}


def virtual_machines():
    """version -> path. Asked, not guessed from the name."""
    found = {}
    for path in [shutil.which("java"), *sorted(glob.glob("/usr/lib/jvm/*/bin/java"))]:
        if path is None:
            continue
        asked = subprocess.run([path, "-XshowSettings:properties", "-version"], stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, timeout=harness.TIMEOUT, check=False).stderr.decode()
        version = re.search(r"^ *java\.specification\.version = (\d+)$", asked, re.MULTILINE)
        if version and int(version.group(1)) >= OLDEST:
            found.setdefault(version.group(1), path)
    return found


def culprit(stack):
    """The innermost frame of the program itself."""
    for frame in stack["frames"]:
        if frame["kind"] == "java" and (frame["function"] or "").startswith("ErrorPath."):
            return {"function": frame["function"], "file": frame["file"], "line": frame["line"]}
    return None


def for_each_way(test):
    def run(self):
        for version, java in self.machines.items():
            for way, (flags, warm_up, compiled) in WAYS.items():
                with self.subTest(java=version, way=way):
                    test(self, java, flags, warm_up, compiled)
    return run


@unittest.skipUnless(JAVAC, "there is no javac: install openjdk-17-jdk-headless")
class JavaPrograms(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.machines = virtual_machines()
        print("virtual machines:", ", ".join(f"{version} ({path})" for version, path in cls.machines.items()))
        cls.classes = tempfile.TemporaryDirectory(prefix="sockleak-test-")
        subprocess.run([JAVAC, "-d", cls.classes.name, PROGRAM], check=True, timeout=harness.TIMEOUT)

    @classmethod
    def tearDownClass(cls):
        cls.classes.cleanup()

    def trace(self, java, flags, *options, losses=LOSSES):
        outcome, truth = jit_programs.trace([java, *flags, "-cp", self.classes.name, "ErrorPath", "TRUTH", *options])
        report = harness.parse_report(outcome)
        for name in losses:
            self.assertEqual(0, harness.counter(report, name), name)
        return report, truth

    def assert_java_stack(self, stack, truth):
        self.assertFalse(stack["truncated"], harness.show(stack))
        self.assertEqual(truth, culprit(stack), harness.show(stack))
        java = [frame for frame in stack["frames"] if frame["kind"] == "java"]
        self.assertEqual("ErrorPath.main", [frame for frame in java if "." in frame["function"]][-1]["function"],
                         harness.show(stack))
        for frame in java:
            self.assertTrue(frame["function"], harness.show(stack))
            if frame["function"].startswith("ErrorPath."):
                self.assertTrue(frame["file"] and frame["line"], harness.show(stack))

    @for_each_way
    def test_the_forgotten_connection(self, java, flags, warm_up, compiled):
        with tempfile.NamedTemporaryFile(prefix="sockleak-test-") as log:
            logged = ("-XX:+UnlockDiagnosticVMOptions", "-XX:+PrintCompilation", "-XX:+LogVMOutput",
                      "-XX:-DisplayVMOutput", f"-XX:LogFile={log.name}")
            report, truth = self.trace(java, (*flags, *logged), "--warm-up", str(warm_up))
            compiled_methods = log.read().decode()
        self.assertEqual(compiled, "ErrorPath::placeOrder" in compiled_methods, compiled_methods)
        found = jit_programs.connects(report)
        # Interpreted or compiled, inlined or not: one line of source is one site.
        self.assertEqual([(truth["created"], truth["leaked"])], [(one["created"], one["leaked"]) for one in found])
        self.assert_java_stack(found[0]["created_at"], truth["created_at"])
        self.assertEqual([truth["created"] - truth["leaked"]], [one["count"] for one in found[0]["closed_at"]])
        self.assert_java_stack(found[0]["closed_at"][0]["stack"], truth["closed_at"])
        for touch in found[0].get("last_touched_at", []):
            self.assert_java_stack(touch["stack"], truth["touched_at"])

    @for_each_way
    def test_the_repaired_program(self, java, flags, warm_up, compiled):
        report, _ = self.trace(java, flags, "--warm-up", str(warm_up), "--repaired")
        self.assertEqual([], jit_programs.connects(report))

    def test_an_http_answer_nobody_reads(self):
        for version, java in self.machines.items():
            with self.subTest(java=version):
                report, truth = self.trace(java, (), "--case", "http")
                found = jit_programs.connects(report)
                self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in found))
                for finding in found:
                    self.assert_java_stack(finding["created_at"], truth["created_at"])

    def test_a_virtual_thread(self):
        """It runs on a carrier's stack, the outer part of its own may be in the heap: where its stack ends differs, its
        own lines do not."""
        for version, java in self.machines.items():
            if int(version) < FIRST_VIRTUAL:
                continue
            with self.subTest(java=version):
                report, truth = self.trace(java, (), "--virtual", losses=set(LOSSES) - {"stacks_without_rule"})
                found = jit_programs.connects(report)
                self.assertEqual(truth["leaked"], sum(finding["leaked"] for finding in found), found)
                for finding in found:
                    print(f"{finding['created']} sockets by a virtual thread, leaked {finding['leaked']}, truncated: "
                          f"{finding['created_at']['truncated']}")
                    self.assertEqual(truth["created_at"], culprit(finding["created_at"]), harness.show(finding["created_at"]))
                    for closed in finding["closed_at"]:
                        self.assertEqual(truth["closed_at"], culprit(closed["stack"]), harness.show(closed["stack"]))
                report, _ = self.trace(java, (), "--virtual", "--repaired", losses=set(LOSSES) - {"stacks_without_rule"})
                self.assertEqual([], jit_programs.connects(report))

    def check_at_exit(self, java, *options, case="http"):
        with harness.scratch() as directory:
            truth = directory / "truth.json"
            outcome = harness.run(harness.SOCKLEAK, "check", "--json", "--", java, "-cp", self.classes.name, "ErrorPath",
                                  truth, "--ends", "--case", case, *options)
            return jit_programs.connects(harness.parse_report(outcome)), json.loads(truth.read_text())

    def test_the_last_touch(self):
        for version, java in self.machines.items():
            with self.subTest(java=version):
                (finding,), truth = self.check_at_exit(java, case="socket")
                self.assertEqual((truth["created"], truth["leaked"]), (finding["created"], finding["leaked"]))
                self.assert_java_stack(finding["created_at"], truth["created_at"])
                closes = [close["stack"] for close in finding["closed_at"] if close["how"] == "close"]
                for stack in closes:
                    self.assert_java_stack(stack, truth["closed_at"])
                self.assertTrue(closes)
                self.assertEqual([(truth["leaked"], "recv → data")],
                                 [(touch["count"], touch["what"]) for touch in finding["last_touched_at"]])
                self.assert_java_stack(finding["last_touched_at"][0]["stack"], truth["touched_at"])

    def test_a_pool_is_no_leak(self):
        """Nothing tells an idle connection from a forgotten one at the end; the pool keeps five of an address."""
        for version, java in self.machines.items():
            with self.subTest(java=version):
                self.assertEqual([], self.check_at_exit(java, "--pool")[0])
                found, truth = self.check_at_exit(java)
                self.assertEqual([truth["leaked"] - POOLED], [finding["leaked"] for finding in found])
                self.assert_java_stack(found[0]["created_at"], truth["created_at"])


if __name__ == "__main__":
    if JAVAC is None:
        print("skipped: there is no javac")
        sys.exit(harness.SKIPPED)
    harness.main()
