#!/usr/bin/python3
"""Destroying leaked connections: sockleak destroy against `ss -K`.

Both destroy the same number of connections that a process of ours holds in a network namespace of its own. They take
turns, so that the machine's mood hits both; the ratio is taken pair by pair. sockleak also finds the holders, makes
the plan, and checks afterwards; `ss -K` only kills. Root.
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/live"))

import harness  # noqa: E402
from socket_holder import Holder  # noqa: E402


def leak(holder, count):
    """Connections that are held and forgotten; returns the port they go to."""
    holder.tell("import ctypes, resource", "resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit("
                "resource.RLIMIT_NOFILE)[1]] * 2)", "l = listener()",
                # The peers live in a child, which dies with the holder: two processes need two tables.
                "if os.fork() == 0:\n    ctypes.CDLL(None).prctl(1, 9)\n    peers = []\n"
                "    while True: peers.append(l.accept()[0])",
                f"c = [connect(l) for _ in range({count})]")
    return holder.ask("port(l)")


def left(holder, port):
    listed = holder.ask(f"subprocess.run(['ss', '-Htn', 'dport', '=', ':{port}'], capture_output=True, text=True)"
                        ".stdout.count(chr(10))")
    return listed


def timed(count, command):
    with Holder() as holder:
        port = leak(holder, count)
        arguments = [str(word) for word in command(holder, port)]
        begin = time.perf_counter()
        status = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode
        seconds = time.perf_counter() - begin
        if status != 0 or left(holder, port) != 0:
            sys.exit(f"{arguments}: status {status}, {left(holder, port)} of {count} left")
        return seconds


def sockleak(holder, port):
    return harness.SOCKLEAK, "destroy", "netns", "=", holder.netns, "dport", "=", f":{port}", "--yes"


def ss(holder, port):
    return "nsenter", "-t", holder.pid, "-n", "ss", "-K", "-tn", "dport", "=", f":{port}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=5)
    options, _ = parser.parse_known_args()
    if os.geteuid() != 0:
        sys.exit("needs root")
    need = options.sockets + 100
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < need:
        sys.exit(f"needs a hard limit of {need} descriptors")
    pairs = [(timed(options.sockets, sockleak), timed(options.sockets, ss)) for _ in range(options.pairs)]
    for ours, theirs in pairs:
        print(f"{options.sockets} sockets: sockleak {ours * 1e3:.0f} ms, ss -K {theirs * 1e3:.0f} ms")
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    print(f"sockleak is {statistics.median(ratios):.2f} times as fast (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
