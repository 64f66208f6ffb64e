"""What goes wrong is said in one line with a hint, ends with the right status and leaves nothing behind."""

import contextlib
import json
import os
import subprocess
import time
import unittest

import harness

USAGE, CANNOT_TRACE = 2, 3
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # of a command, as a shell would say it; `check` passes them on


def own_bpf_programs():
    """Ids of loaded programs of ours that no living process holds open."""
    listed = harness.run("bpftool", "-j", "prog", "show")
    return {program["id"] for program in json.loads(listed.stdout)
            if program.get("name", "").startswith("sl_") and not program.get("pids")}


@contextlib.contextmanager
def nothing_stays_attached(test):
    before = own_bpf_programs(), mounts()
    yield
    # The kernel frees programs some grace periods after their last user has gone.
    deadline = time.monotonic() + harness.TIMEOUT
    while (left := own_bpf_programs() - before[0]) and time.monotonic() < deadline:
        pass
    test.assertEqual(set(), left, "BPF programs stay loaded")
    test.assertEqual(before[1], mounts())


def mounts():
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return [line for line in file if "sockleak" in line]


@contextlib.contextmanager
def idle_process():
    """A process that waits until its stdin is closed."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        harness.end(process)


class BadInput(unittest.TestCase):
    maxDiff = None

    def assert_refused(self, outcome, status, *words):
        """One line on stderr that says what is wrong and, after a semicolon, how to mend it; nothing on stdout."""
        error = outcome.stderr.decode()
        self.assertEqual(status, outcome.returncode, error)
        self.assertEqual(b"", outcome.stdout)
        self.assertRegex(error, r"\Asockleak: [^\n]+; [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, error)

    def refused(self, status, *arguments, words=(), prefix=()):
        with nothing_stays_attached(self):
            outcome = harness.run(*prefix, harness.SOCKLEAK, *arguments)
        self.assert_refused(outcome, status, *words)

    def test_no_such_pid(self):
        with idle_process() as process:
            pid = process.pid
        self.refused(USAGE, "trace", "-p", pid, "-d", "1s", words=[str(pid)])

    def test_not_a_pid(self):
        self.refused(USAGE, "trace", "-p", "nginx", "-d", "1s", words=["nginx"])

    def test_no_target(self):
        self.refused(USAGE, "trace")
        self.refused(USAGE, "check")

    def test_unknown_option_and_command(self):
        self.refused(USAGE, "trace", "--no-such-option", words=["--no-such-option"])
        self.refused(USAGE, "no-such-command", words=["no-such-command"])

    def test_bad_duration(self):
        self.refused(USAGE, "trace", "-p", os.getpid(), "-d", "soon", words=["soon"])

    def test_command_not_found(self):
        for program in ("/no/such/program", "no-such-program-anywhere"):
            for command, status in (("trace", USAGE), ("check", NOT_FOUND)):
                with self.subTest(command=command, program=program):
                    self.refused(status, command, "--", program, words=[program])

    def test_command_not_executable(self):
        with harness.scratch() as directory:
            file = directory / "data.txt"
            file.write_text("no program")
            self.refused(NOT_EXECUTABLE, "check", "--", file, words=["data.txt"])
            self.refused(USAGE, "trace", "--", file, words=["data.txt"])

    def test_a_process_that_has_ended_but_is_not_reaped(self):
        process = subprocess.Popen(["true"], stdin=subprocess.DEVNULL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # now a zombie
        try:
            self.refused(USAGE, "trace", "-p", process.pid, "-d", "1s", words=[str(process.pid)])
        finally:
            process.wait()

    def test_a_pid_that_ends_while_attaching(self):
        # The process ends at ever later moments of the attach, told by how many descriptors sockleak has open.
        for descriptors in (0, 4, 8, 16, 24, 32, 48, 64):
            with self.subTest(descriptors=descriptors), nothing_stays_attached(self), idle_process() as process:
                tracer = subprocess.Popen(
                    [str(harness.SOCKLEAK), "trace", "-p", str(process.pid), "-d", "30s", "--json"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                while tracer.poll() is None and self.descriptors_of(tracer) < descriptors:
                    pass
                process.stdin.close()
                process.wait(harness.TIMEOUT)
                out, err = tracer.communicate(timeout=harness.TIMEOUT)
                # Whichever side was faster: a report without findings, or one line that says it is gone.
                if tracer.returncode == 0:
                    self.assertEqual([], json.loads(out)["findings"])
                else:
                    self.assertIn(tracer.returncode, (USAGE, CANNOT_TRACE))
                    self.assert_refused(subprocess.CompletedProcess([], tracer.returncode, out, err),
                                        tracer.returncode, str(process.pid))

    @staticmethod
    def descriptors_of(process):
        try:
            return len(os.listdir(f"/proc/{process.pid}/fd"))
        except OSError:
            return 1 << 30  # it has ended

    def test_no_privilege(self):
        with harness.scratch() as directory, idle_process() as process:
            sockleak = harness.copy_for_everyone(harness.SOCKLEAK, directory)
            with nothing_stays_attached(self):
                traced = harness.run(*harness.as_nobody(sockleak, "trace", "-p", process.pid, "-d", "1s"),
                                     cwd=directory)
                checked = harness.run(*harness.as_nobody(sockleak, "check", "--", "true"), cwd=directory)
        self.assert_refused(traced, CANNOT_TRACE, "sudo")
        self.assert_refused(checked, CANNOT_TRACE, "sudo")

    def test_a_kernel_without_btf(self):
        if harness.run("unshare", "--mount", "true").returncode != 0:
            self.skipTest("no mount namespace can be made here")
        hide = ("unshare", "--mount", "sh", "-c",
                'mount -t tmpfs none /sys/kernel/btf && { [ ! -d /boot ] || mount -t tmpfs none /boot; } && exec "$@"',
                "sh")
        with idle_process() as process:
            self.refused(CANNOT_TRACE, "trace", "-p", process.pid, "-d", "1s", prefix=hide, words=["BTF"])

    def test_unreadable_recordings(self):
        with harness.scratch() as directory:
            garbage = directory / "garbage.slk"
            garbage.write_bytes(bytes(range(256)) * 64)
            empty = directory / "empty.slk"
            empty.touch()
            for file in (directory / "missing.slk", garbage, empty, directory):
                with self.subTest(file=file.name):
                    self.refused(USAGE, "report", file, words=[file.name])
            secret = directory / "secret.slk"
            secret.touch(0o600)
            sockleak = harness.copy_for_everyone(harness.SOCKLEAK, directory)
            self.assert_refused(harness.run(*harness.as_nobody(sockleak, "report", secret), cwd=directory), USAGE,
                                "secret.slk")

    def test_a_recording_that_was_cut_is_read_up_to_the_cut(self):
        with harness.scratch() as directory:
            whole, cut = directory / "whole.slk", directory / "cut.slk"
            harness.run(harness.SOCKLEAK, "check", "--record", whole, "--", harness.PROGRAMS / "connect_error_path")
            data = whole.read_bytes()
            for tenths in (2, 5, 9):
                with self.subTest(tenths=tenths):
                    cut.write_bytes(data[:len(data) * tenths // 10])
                    outcome = harness.run(harness.SOCKLEAK, "report", cut, "--json")
                    if outcome.returncode == USAGE:  # nothing whole was left to read
                        self.assert_refused(outcome, USAGE, "cut.slk")
                        continue
                    report = harness.parse_report(outcome)
                    self.assertFalse(report["completeness"]["complete"])
                    self.assertEqual(1, harness.counter(report, "recording_cut"))

    def test_an_output_directory_that_is_missing(self):
        with harness.scratch() as directory:
            missing = directory / "missing"
            for option, file in (("-o", missing / "report.json"), ("--record", missing / "run.slk")):
                with self.subTest(option=option):
                    self.refused(CANNOT_TRACE, "check", option, file, "--", "true", words=[str(missing)])
            self.assertEqual([], list(directory.iterdir()))

    def test_no_partial_output_file(self):
        with harness.scratch() as directory:
            for option, name in (("-o", "report.json"), ("--record", "run.slk")):
                with self.subTest(option=option):
                    self.refused(NOT_FOUND, "check", option, directory / name, "--", "/no/such/program")
                    self.assertEqual([], list(directory.iterdir()))

    def test_nothing_stays_attached_after_a_kill(self):
        with nothing_stays_attached(self), idle_process() as process:
            tracer = harness.Tracer("-p", process.pid)
            tracer.process.kill()
            tracer.result()


if __name__ == "__main__":
    harness.main()
