#!/usr/bin/python3
"""What the stacks of each runtime cost: the traced program's time, the BPF programs', rules compiled, names and memory.

Every runtime that is found makes and closes sockets some frames deep. Traced and untraced rounds alternate in one process;
the ratio is taken pair by pair. Root.
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import bench_overhead

SOURCES = pathlib.Path(__file__).resolve().parent / "runtimes"


def runtimes(directory):
    """name, command that takes a count and a depth; None: its compiler or interpreter is not there."""
    def built(tool, *arguments):
        if shutil.which(tool) is None:
            return False
        subprocess.run([tool, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "GOCACHE": str(directory)})
        return True

    yield "C", [bench_overhead.BENCH / "loop", "socket"]
    rust = built("rustc", "-O", "-g", "-o", directory / "rust", SOURCES / "loop.rs")
    yield "Rust", [directory / "rust"] if rust else None
    yield "Go", [directory / "go"] if built("go", "build", "-o", directory / "go", SOURCES / "loop.go") else None
    yield "Python", ["/usr/bin/python3", SOURCES / "loop.py"]
    node = shutil.which("node")
    yield "Node", [node, SOURCES / "loop.js"] if node else None
    mapped = [node, "--perf-basic-prof", "--interpreted-frames-native-stack", SOURCES / "loop.js"]
    yield "Node, perf map", mapped if node else None
    java = built("javac", "-d", directory, SOURCES / "Loop.java")
    yield "Java", ["java", "-cp", directory, "Loop"] if java else None
    yield "Java, interpreted", ["java", "-Xint", "-cp", directory, "Loop"] if java else None
    yield "Java, frame pointers", ["java", "-XX:+PreserveFramePointer", "-cp", directory, "Loop"] if java else None


class Loop(bench_overhead.Loop):
    def __init__(self, command, directory):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        bufsize=0, cwd=directory)
        if self.process.stdout.readline() != b"ready\n":
            sys.exit(f"{command} does not start")


class Tracer(bench_overhead.Tracer):
    quiet = ()  # what it cost stands on stderr

    def end(self):
        self.process.send_signal(bench_overhead.signal.SIGTERM)
        _, said = self.process.communicate()
        found = {}
        for pattern in (r"stacks: (?P<walked>\d+) found, (?P<recalled>\d+) recalled, (?P<copied>\d+) finished from a copy; "
                        r"(?P<rules>\d+) rules", r"names: (?P<stacks>\d+) stacks, (?P<frames>\d+) frames in (?P<time>[^;]+); "
                        r"at most (?P<memory>\d+) MB"):
            found.update(re.search(pattern, said.decode()).groupdict())
        return found


def measure(loop, pairs):
    for _ in range(2):
        loop.round()  # just-in-time compilers have compiled then
    plain, traced = [], []
    for _ in range(pairs):
        plain.append(loop.round())
        tracer = Tracer(loop.process.pid)
        traced.append(loop.round())
        cost = tracer.end()
    before = bench_overhead.STATS.read_text()
    tracer = Tracer(loop.process.pid)
    bench_overhead.STATS.write_text("1")
    loop.round()
    times = bench_overhead.program_times()
    bench_overhead.STATS.write_text(before)
    tracer.end()
    return plain, traced, cost, times


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--runtime-sockets", type=int, default=20_000)
    options.add_argument("--depth", type=int, default=15)
    wanted, _ = options.parse_known_args()
    if os.geteuid() != 0:
        sys.exit("bench_runtimes: needs root")
    print(f"medians of {wanted.pairs} pairs, {wanted.runtime_sockets} sockets made and closed {wanted.depth} frames deep; "
          "Rust's and Node's are bound, too")
    print(f"{'':22}{'untraced':>9}{'traced':>9}{'ratio':>7}{'BPF create, close':>20}{'walked':>8}{'recalled':>10}{'copied':>8}"
          f"{'rules':>7}{'frames named':>14}{'in':>9}{'memory':>9}")
    with tempfile.TemporaryDirectory(prefix="sockleak-bench-") as name:
        for runtime, command in runtimes(pathlib.Path(name)):
            if command is None:
                print(f"{runtime:22} not found")
                continue
            loop = Loop([*command, wanted.runtime_sockets, wanted.depth], name)
            plain, traced, cost, times = measure(loop, wanted.pairs)
            loop.end()
            ratio = statistics.median(slow / fast for fast, slow in zip(plain, traced))
            create = times.get("sl_sock_create", 0) + times.get("sl_socket_post_create", 0)
            close = times.get("sl_sock_release", 0) + times.get("sl_inet_release", 0)
            print(f"{runtime:22}{statistics.median(plain):6.0f} ns{statistics.median(traced):6.0f} ns{ratio:7.2f}"
                  f"{create:10.0f},{close:6.0f} ns{cost['walked']:>8}{cost['recalled']:>10}{cost['copied']:>8}{cost['rules']:>7}"
                  f"{cost['frames']:>14}{cost['time']:>9}{cost['memory']:>6} MB", flush=True)


if __name__ == "__main__":
    main()
