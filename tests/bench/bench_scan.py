#!/usr/bin/env python3
"""100 000 sockets held by 100 processes: `sockleak scan --list`, which names all holders, against `ss -tanp`, pair by pair,
in a network namespace of its own. Fails unless the same look as JSON gives the same set of (socket, pid, fd). Root."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/live"))

import harness  # noqa: E402
from socket_crowd import Crowd, holders_by_scan, holders_by_ss  # noqa: E402


def seconds_and_output(*command):
    began = time.perf_counter()
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return time.perf_counter() - began, output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=100)
    parser.add_argument("--scan-sockets", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    options, _ = parser.parse_known_args()
    if os.geteuid() != 0:
        sys.exit("needs root")
    ratios = []
    with Crowd(options.processes, options.scan_sockets) as crowd:
        for _ in range(options.pairs):
            theirs, listed = seconds_and_output(*crowd.inside("ss", "-Htanp"))
            scan = (str(harness.SOCKLEAK), "scan", "-q", "netns", str(crowd.netns))
            ours, _ = seconds_and_output(*scan, "--list")
            ratios.append(theirs / ours)
            summary, _ = seconds_and_output(*scan)
            as_json, scanned = seconds_and_output(*scan, "--json")
            print(f"ss -tanp {theirs:.3f} s, sockleak scan --list {ours:.3f} s: {ratios[-1]:.1f} times as fast; without the "
                  f"list {summary:.3f} s, as JSON {as_json:.3f} s, of it the look {json.loads(scanned)['seconds']:.3f} s",
                  flush=True)
            by_ss, by_scan = holders_by_ss(listed), holders_by_scan(scanned, crowd.netns)
            if by_ss != by_scan or len(by_ss) < options.scan_sockets:
                sys.exit(f"{len(by_ss)} holders by ss, {len(by_scan)} by scan, {len(by_ss ^ by_scan)} differ")
    print(f"{len(by_ss)} holders, the same set each time; sockleak is {statistics.median(ratios):.1f} times as fast "
          f"(from {min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
