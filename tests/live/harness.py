"""What the live tests share: starting sockleak and the programs it watches, and reading what it says.

Everything waits on pipes with a generous timeout, nothing sleeps, and only processes started here are signalled.
"""

import contextlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SOCKLEAK = pathlib.Path(os.environ.get("SOCKLEAK", REPOSITORY / "build/release/sockleak"))
PROGRAMS = pathlib.Path(os.environ.get("SOCKLEAK_PROGRAMS", REPOSITORY / "build/release/tests/programs"))
TIMEOUT = int(os.environ.get("SOCKLEAK_TIMEOUT", "60"))  # seconds; far more than anything here takes
SKIPPED = 77  # ctest's SKIP_RETURN_CODE

LEAKY_PROGRAMS = ("connect_error_path", "accept_thread", "accept_epoll", "destructor")

# Counters that must be zero for "every socket has its whole stack".
STACK_LOSSES = ("stacks_lost", "stacks_unreadable", "stacks_insane", "stacks_contended", "stacks_too_deep",
                "stacks_without_rule", "stacks_unresolved", "frames_without_module", "modules_unreadable",
                "mappings_lost")


def main(needs_root=True):
    """Runs the tests of the calling script, or skips all of them with the reason."""
    if needs_root and os.geteuid() != 0:
        print("skipped: needs root to load BPF programs")
        sys.exit(SKIPPED)
    if not SOCKLEAK.exists():
        sys.exit(f"{SOCKLEAK} is missing: run scripts/build")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    unittest.main()


@contextlib.contextmanager
def scratch():
    """A directory that ordinary users can enter too, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sockleak-test-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def copy_for_everyone(file, directory):
    target = directory / file.name
    shutil.copyfile(file, target)
    target.chmod(0o755)
    return target


def with_hooks(arguments):
    """Puts --hooks behind `check` and `trace`, if the environment asks for a set of hooks (scripts/kernels does)."""
    hooks = os.environ.get("SOCKLEAK_HOOKS")
    words = [str(argument) for argument in arguments]
    if hooks and words[0] == str(SOCKLEAK) and words[1:2] in (["check"], ["trace"]):
        words[2:2] = ["--hooks", hooks]
    return words


def run(*arguments, **options):
    """Runs a command to its end. stdout stays bytes: some tests compare them."""
    return subprocess.run(with_hooks(arguments), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=3 * TIMEOUT, check=False, **options)


def searches_through_bpf():
    """Whether this kernel's tables can be walked by `scan`: from 5.12 on."""
    features = json.loads(run(SOCKLEAK, "doctor", "--json").stdout)["features"]
    return any(one["name"] == "BPF iterators" and one["present"] for one in features)


def as_nobody(*arguments):
    return ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *arguments)


def parse_report(outcome):
    try:
        report = json.loads(outcome.stdout)
        TruthTest.skipped = report.get("completeness", {}).get("counters", {}).get("hooks_skipped", 0)
        if TruthTest.skipped:
            print(f"{TruthTest.skipped} hooks were not run by this preemptible kernel", flush=True)
        return report
    except ValueError as error:
        raise AssertionError(f"no JSON report ({error}), exit {outcome.returncode}:\n"
                             f"{outcome.stdout[:2000]!r}\n{outcome.stderr.decode()}") from None


def read_byte(fd, what):
    """Waits for one byte; complains if it does not come."""
    if not select.select([fd], [], [], TIMEOUT)[0]:
        raise AssertionError(f"{what}: nothing within {TIMEOUT} s")
    byte = os.read(fd, 1)
    if not byte:
        raise AssertionError(f"{what}: the pipe was closed")
    return byte


def read_until(stream, text, what):
    """Reads lines from a child's pipe until one contains `text`; what follows is read and dropped, so that the child
    never blocks on a full pipe."""
    seen = []
    for line in iter(stream.readline, ""):
        seen.append(line)
        if text in line:
            threading.Thread(target=drain, args=(os.dup(stream.fileno()),), daemon=True).start()
            return line
    raise AssertionError(f"{what}: ended without saying {text!r}:\n{''.join(seen)}")


def read_line(stream, text, what):
    """The next line of a child's pipe, which must be `text`."""
    if not select.select([stream], [], [], TIMEOUT)[0]:
        raise AssertionError(f"{what}: nothing within {TIMEOUT} s")
    line = stream.readline().strip()
    if line != text:
        raise AssertionError(f"{what}: said {line!r} instead of {text!r}")


def drain(fd):
    with open(fd, "rb", buffering=0) as pipe:
        while pipe.read(1 << 16):
            pass


def end(process, sign=signal.SIGTERM):
    """Ends a process started here, and reaps it."""
    if process.poll() is None:
        process.send_signal(sign)
    try:
        return process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(TIMEOUT)
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


class Tracer:
    """`sockleak trace`, or `check`, in the background; usable once it says that it is ready."""

    def __init__(self, *arguments, command="trace"):
        ready, child_end = os.pipe()
        # Files, not pipes: a verbose report must not block on a reader that is busy elsewhere.
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            with_hooks([SOCKLEAK, command, "--ready-fd", child_end, *arguments]), stdin=subprocess.DEVNULL,
            stdout=self.out, stderr=self.err, pass_fds=[child_end])
        os.close(child_end)
        try:
            read_byte(ready, "sockleak trace --ready-fd")
        except AssertionError as error:
            end(self.process, signal.SIGKILL)
            raise AssertionError(f"{error}\n{self._read(self.err).decode()}") from None
        finally:
            os.close(ready)

    @staticmethod
    def _read(file):
        file.seek(0)
        return file.read()

    def result(self, interrupt=False):
        """Its outcome, as run() gives it; with `interrupt` it is asked to end now, as by Ctrl-C."""
        if interrupt and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(3 * TIMEOUT)
        finally:
            end(self.process, signal.SIGKILL)
        outcome = subprocess.CompletedProcess(self.process.args, status, self._read(self.out), self._read(self.err))
        self.out.close()
        self.err.close()
        return outcome


# --- reading reports -------------------------------------------------------------------------------------------------

def base_name(path):
    return (path or "").rsplit("/", 1)[-1]


def bare(function):
    """A function's name without return type and parameters, so that C++ names compare however they are written."""
    return (function or "").split("(")[0].split(" ")[-1]


def place(frame):
    return {"file": base_name(frame.get("file")), "line": frame.get("line"), "function": bare(frame.get("function"))}


LIBC_CALLS = ("accept4", "close", "read", "recv", "sccp", "socket", "syscall_cp", "syscall_cp_c")  # in static programs


RUST_STANDARD = ("std::", "<std::", "core::", "<core::", "alloc::", "<alloc::")  # likewise


def own_place(stack, program):
    """The innermost frame in the program's own module: what a reader takes for the culprit."""
    for frame in stack["frames"]:
        if base_name(frame.get("module")) != program or (frame.get("file") or "").startswith("/rustc/"):
            continue
        if not frame.get("line") and (frame.get("function") or "").startswith(RUST_STANDARD):
            continue
        if not frame.get("line") and bare(frame.get("function")).lstrip("_").removeprefix("libc_") in LIBC_CALLS:
            continue
        return place(frame)
    return None


def true_place(truth):
    return {"file": truth["file"], "line": truth["line"], "function": bare(truth["function"])}


def is_whole(stack):
    """Whether a stack was walked to the first frame of its thread and says so."""
    if stack["truncated"] or not stack["frames"]:
        return False
    outermost = stack["frames"][-4:]
    starts = ("_start", "__libc_start_main", "__libc_start_call_main", "start_thread", "clone", "clone3", "main")
    if any(bare(frame.get("function")).split("@")[0] in starts for frame in outermost):
        return True
    # A thread's start without libc's debug symbols: start_thread and clone3 are not exported.
    return all(base_name(frame.get("module")).startswith("libc.so") for frame in outermost[-2:])


def show(stack):
    lines = [f"    {frame.get('function') or '?'} {frame.get('file') or ''}:{frame.get('line') or ''} "
             f"[{base_name(frame.get('module'))}+{frame.get('offset')}]{' inlined' if frame.get('inlined') else ''}"
             for frame in stack["frames"]]
    return "\n".join(lines + [f"    truncated={stack['truncated']} why={stack.get('why')}"])


def counter(report, name):
    return report["completeness"]["counters"].get(name, 0)


PROMISE_BREAKERS = ("events_lost", "sockets_untracked", "processes_untracked", "records_malformed", "sockets_evicted",
                    "snapshots_incomplete", "recording_cut")


def assert_promise_kept(test, report):
    """Nothing was lost that could hide a leak; but a preemptible kernel may have left out the hook that names a connection."""
    unnamed = counter(report, "accepts_without_cookie")
    test.assertLessEqual(unnamed, counter(report, "hooks_skipped"), report["completeness"])
    test.assertEqual(unnamed == 0, report["completeness"]["complete"], report["completeness"])
    for name in PROMISE_BREAKERS:
        test.assertEqual(0, counter(report, name), name)


class TruthTest(unittest.TestCase):
    """A report against what the program itself says of its sockets."""
    maxDiff = None
    skipped = 0  # hooks that were not run, says the report that was parsed last

    def assert_complete(self, report):
        assert_promise_kept(self, report)
        self.assertEqual(0, counter(report, "events_lost"))
        for name in STACK_LOSSES:
            self.assertEqual(0, counter(report, name), name)

    def assert_finding_is_the_truth(self, finding, truth, program=None, rule="open-at-exit"):
        """`program`: the module that the truth's places are in, if it is not the program's own name."""
        program = program or truth["program"]
        self.assertEqual("leak", finding["verdict"])
        self.assertIn(rule, [fired["rule"] for fired in finding["rules"]])
        self.assertEqual("tcp", finding["protocol"])
        self.assertEqual(truth["origin"], finding["origin"])
        for name, true in (("created", truth["created"]), ("closed", truth["created"] - truth["leaked"]),
                           ("leaked", truth["leaked"])):
            # What a hook that was left out would have told is missing; never is there too much.
            self.assertIn(finding[name], range(true - self.skipped, true + 1), name)
        stack = finding["created_at"]
        self.assertEqual(true_place(truth["created_at"]), own_place(stack, program),
                         show(stack))
        self.assertTrue(is_whole(stack), show(stack))
        self.assertIn("main", [bare(frame["function"]) for frame in stack["frames"]])

        closes = [close for close in finding["closed_at"] if close["how"] == "close"]
        said = "\n".join(show(close["stack"]) for close in closes)
        self.assertCountEqual([true_place(close) for close in truth["closed_at"]],
                              [own_place(close["stack"], program) for close in closes], said)
        # A preemptible kernel may leave out hooks. It counts them, and what was closed meanwhile is found gone.
        counts = {str(own_place(close["stack"], program)): close["count"] for close in closes}
        for close in truth["closed_at"]:
            self.assertLessEqual(0, close["count"] - counts[str(true_place(close))], said)
            self.assertLessEqual(close["count"] - counts[str(true_place(close))], self.skipped, said)
        for close in closes:
            self.assertTrue(is_whole(close["stack"]), show(close["stack"]))
        if "listener_created_at" in truth:
            self.assertEqual(true_place(truth["listener_created_at"]),
                             own_place(finding["listener_created_at"], program))
        if "touched_at" in truth:
            self.assertEqual([(truth["leaked"], truth["touched_at"]["what"], true_place(truth["touched_at"]))],
                             [(touch["count"], touch["what"], own_place(touch["stack"], program))
                              for touch in finding["last_touched_at"]])
        self.assertEqual(truth["leaked"], sum(creator["count"] for creator in finding["creators"]))
        self.assertEqual(truth["leaked"], sum(finding["states"].values()), finding["states"])
