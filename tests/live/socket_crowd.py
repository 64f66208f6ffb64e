"""Many processes with many connections in a network namespace of their own, and who holds what according to `ss` and to
`sockleak scan`."""

import json
import os
import re
import resource
import socket
import subprocess
import sys


class Crowd:
    """`mixed`: also descriptors that were duplicated or inherited, and IPv6."""

    def __init__(self, processes, sockets, mixed=False):
        self.process = subprocess.Popen(["unshare", "--net", sys.executable, "-B", __file__, str(processes),
                                         str(sockets), "mixed" if mixed else "plain"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise AssertionError(f"the crowd ended with {self.process.wait()}")
        self.netns = os.stat(f"/proc/{self.process.pid}/ns/net").st_ino

    def inside(self, *command):
        return ("nsenter", f"--net=/proc/{self.process.pid}/ns/net", *map(str, command))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def holders_by_ss(output):
    """The output of `ss -Htanp` as a set of (local, remote, pid, fd)."""
    found = set()
    for line in output.decode().splitlines():
        fields = line.split()
        for pid, fd in re.findall(r"pid=(\d+),fd=(\d+)", line):
            found.add((fields[3], fields[4], int(pid), int(fd)))
    return found


def endpoint(end):
    if end["address"] is None:
        return "0.0.0.0:*"
    address = f"[{end['address']}]" if ":" in end["address"] else end["address"]
    return f"{address}:{end['port'] or '*'}"


def holders_by_scan(output, netns):
    found = set()
    for sock in json.loads(output)["sockets"]:
        if sock["netns"] == netns and sock["protocol"] == "tcp":
            found.update((endpoint(sock["local"]), endpoint(sock["remote"]), holder["pid"], holder["fd"])
                         for holder in sock["holders"])
    return found


def member(number, sockets, mixed, ready, stay):
    address = "::1" if mixed and number % 2 else f"127.0.{1 + number // 200}.{1 + number % 200}"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    resource.setrlimit(resource.RLIMIT_NOFILE, (sockets * 2 + 64, max(sockets * 2 + 64, 4096)))
    server = socket.create_server((address, 7000 + number), family=family, backlog=64)
    keep = []
    for _ in range(sockets // 2):
        client = socket.create_connection((address, 7000 + number))
        keep += [client, server.accept()[0]]
    if mixed:
        keep += [sock.dup() for sock in keep[::3]]
        os.fork()  # an heir of everything
    os.write(ready, b"r")
    os.read(stay, 1)
    os._exit(0)


def main():
    processes, sockets, mixed = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "mixed"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (told, ready), (stay, end) = os.pipe(), os.pipe()
    for number in range(processes):
        if os.fork() == 0:
            os.close(end)
            member(number, sockets // processes, mixed, ready, stay)
    os.close(ready)
    expected = processes * (2 if mixed else 1)
    while expected > 0:
        said = os.read(told, expected)
        if not said:
            sys.exit("a holder failed")
        expected -= len(said)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
