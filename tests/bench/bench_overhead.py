#!/usr/bin/python3
"""What tracing costs the traced program, and everybody else.

Traced and untraced rounds alternate in one process, so that the machine's mood hits both; the ratio is taken pair by
pair and its median is printed with the extremes. Root.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SOCKLEAK = os.environ.get("SOCKLEAK", REPOSITORY / "build/release/sockleak")
BENCH = pathlib.Path(os.environ.get("SOCKLEAK_BENCH", REPOSITORY / "build/release/tests/bench"))
STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


class Loop:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([BENCH / "loop", *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.process.stdout.readline()

    def round(self):
        self.process.stdin.write(b"g")
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Tracer:
    quiet = ("-q",)

    def __init__(self, pid):
        ready, child_end = os.pipe()
        self.process = subprocess.Popen(
            [SOCKLEAK, "trace", "-p", str(pid), "--json", "-v", *self.quiet, "--ready-fd", str(child_end)],
            pass_fds=(child_end,), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(child_end)
        if os.read(ready, 1) == b"":
            sys.exit(self.process.stderr.read().decode())
        os.close(ready)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate()
        return json.loads(out)


def program_times():
    """Nanoseconds per run of each of our BPF programs, while bpf_stats_enabled is on."""
    shown = json.loads(subprocess.run(["bpftool", "prog", "show", "-j"], stdout=subprocess.PIPE, check=True).stdout)
    return {program["name"]: program["run_time_ns"] / program["run_cnt"]
            for program in shown if program.get("name", "").startswith("sl_") and program.get("run_cnt")}


def text(values, form):
    ordered = sorted(values)
    return f"{statistics.median(ordered):{form}} ({ordered[0]:{form}} .. {ordered[-1]:{form}})"


def compare(name, pairs, loop, traced_pid):
    loop.round()
    ratios, plain, traced = [], [], []
    lost = created = 0
    for _ in range(pairs):
        plain.append(loop.round())
        tracer = Tracer(traced_pid)
        traced.append(loop.round())
        report = tracer.end()
        lost += report["completeness"]["counters"].get("events_lost", 0)
        created += report["totals"]["created"]
        ratios.append(traced[-1] / plain[-1])
    print(f"{name:44} {text(plain, '.0f'):>24} ns   {text(traced, '.0f'):>24} ns   "
          f"ratio {text(ratios, '.3f')}   {created} sockets, {lost} events lost")
    return statistics.median(traced) - statistics.median(plain)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=9)
    pairs = options.parse_args().pairs
    if os.geteuid() != 0:
        sys.exit("bench_overhead: needs root")

    print(f"median (lowest .. highest) of {pairs} pairs, per iteration; untraced, traced, traced / untraced")
    loop = Loop("connect", 20000)
    compare("connect + accept + 2 close, 2 threads", pairs, loop, loop.process.pid)
    loop.end()
    bystander = Loop("syscall", 2000000)
    compare("getppid() of a program that is not traced", pairs, bystander, os.getpid())
    bystander.end()

    print("\ncost per stack: half of what a traced socket() + close() takes longer, walk and event together")
    before = STATS.read_text()
    for frames in (12, 22, 67):
        loop = Loop("socket", 200000, frames - 5)
        extra = compare(f"socket() + close(), {frames} frames", pairs, loop, loop.process.pid)
        STATS.write_text("1")
        tracer = Tracer(loop.process.pid)
        loop.round()
        times = program_times()
        STATS.write_text(before)
        sites = tracer.end()["sites"]
        deep = max(len(site["created_at"]["frames"]) for site in sites)
        print(f"{'':44} {deep} frames in the report; {extra / 2:.0f} ns per stack; BPF program alone: create "
              f"{times.get('sl_sock_create', 0):.0f} ns, close {times.get('sl_sock_release', 0):.0f} ns")
        loop.end()


if __name__ == "__main__":
    main()
