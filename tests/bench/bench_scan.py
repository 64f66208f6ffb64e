#!/usr/bin/env python3
"""100 000 sockets held by 100 processes: `sockleak scan` with all holders against `ss -tanp`, pair by pair, in a network
namespace of its own. Both must give the same set of (socket, pid, fd)."""

import json
import os
import re
import statistics
import subprocess
import sys
import time

SOCKLEAK = os.environ.get("SOCKLEAK", "build/release/sockleak")
PAIRS = 5
HOLDER = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
n, address = int(sys.argv[1]), sys.argv[2]
server = socket.create_server((address, 7000), backlog=64)
keep = []
for _ in range(n // 2):
    client = socket.create_connection((address, 7000))
    keep += [client, server.accept()[0]]
print("ready", flush=True)
sys.stdin.read()
"""


def seconds_and_output(*command):
    began = time.monotonic()
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return time.monotonic() - began, output


def holders_by_ss(output):
    found = set()
    for line in output.decode().splitlines():
        fields = line.split()
        for pid, fd in re.findall(r"pid=(\d+),fd=(\d+)", line):
            found.add((fields[3], fields[4], int(pid), int(fd)))
    return found


def holders_by_scan(output, netns):
    found = set()
    for sock in json.loads(output)["sockets"]:
        if sock["netns"] != netns or sock["protocol"] != "tcp" or sock["state"] == "LISTEN":
            continue
        local, remote = (f"{end['address']}:{end['port']}" for end in (sock["local"], sock["remote"]))
        found.update((local, remote, holder["pid"], holder["fd"]) for holder in sock["holders"])
    return found


def inside(processes, sockets):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    children = []
    try:
        for i in range(processes):
            children.append(subprocess.Popen([sys.executable, "-c", HOLDER, str(sockets // processes), f"127.0.1.{i + 1}"],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        for child in children:
            if child.stdout.readline() != b"ready\n":
                sys.exit("a holder failed")
        netns = os.stat("/proc/self/ns/net").st_ino
        ratios = []
        for _ in range(PAIRS):
            peer, listed = seconds_and_output("ss", "-Htanp", "exclude", "listening")
            ours, scanned = seconds_and_output(SOCKLEAK, "scan", "--json", "-q", "netns", str(netns))
            ratios.append(peer / ours)
            inner = json.loads(scanned)["seconds"]
            print(f"ss -tanp {peer:.3f} s   sockleak scan {ours:.3f} s (the look {inner:.3f} s)   {peer / ours:.1f}x",
                  flush=True)
        by_ss, by_scan = holders_by_ss(listed), holders_by_scan(scanned, netns)
        print(f"{len(by_ss)} holders by ss, {len(by_scan)} by scan, {len(by_ss ^ by_scan)} differ; "
              f"median ratio {statistics.median(ratios):.1f}")
        sys.exit(0 if by_ss == by_scan else 1)
    finally:
        for child in children:
            child.stdin.close()
        for child in children:
            child.wait()


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root")
    elif len(sys.argv) > 1 and sys.argv[1] == "--inside":
        inside(int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(subprocess.run(["unshare", "--net", sys.executable, __file__, "--inside", "100", "100000"],
                                check=False).returncode)
