"""socket() + close(), argv[1] times, argv[2] Python frames below the module: what bench_runtimes.py runs."""

import socket
import sys
import time


def deeper(depth, count):
    if depth:
        return deeper(depth - 1, count)
    for _ in range(count):
        socket.socket().close()


print("ready", flush=True)
for _ in iter(lambda: sys.stdin.buffer.raw.read(1), b""):
    begin = time.perf_counter_ns()
    deeper(int(sys.argv[2]), int(sys.argv[1]))
    print((time.perf_counter_ns() - begin) / int(sys.argv[1]), flush=True)
