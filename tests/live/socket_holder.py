"""A process with sockets in a network namespace of its own, told by a test what to do with them.

What it is told are Python statements; `result` goes back. It is never an ancestor of the sockleak under test, whose
guards would otherwise protect it.
"""

import json
import socket
import subprocess
import sys

import harness

SCRIPT = """
import json, os, signal, socket, struct, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
def cookie(s):
    return struct.unpack("Q", s.getsockopt(socket.SOL_SOCKET, 57, 8))[0]
def listener(backlog=4096, address="127.0.0.1", family=socket.AF_INET, protocol=0):
    s = socket.socket(family, socket.SOCK_STREAM, protocol)
    s.bind((address, 0))
    s.listen(backlog)
    return s
def connect(to, port=0, protocol=0):
    s = socket.socket(to.family, socket.SOCK_STREAM, protocol)
    if port:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
    s.connect(to.getsockname())
    return s
def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
def port(s):
    return s.getsockname()[1]
def error(call, *arguments):
    try:
        return repr(call(*arguments))
    except OSError as e:
        return e.strerror
def alive(a, b):
    a.settimeout(10); b.settimeout(10)
    try:
        a.sendall(b"x")
        return b.recv(1) == b"x"
    except OSError:
        return False
known = dict(globals())
for line in sys.stdin:
    known["result"] = None
    exec(json.loads(line), known)
    print(json.dumps(known["result"]), flush=True)
"""


class Holder:
    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", sys.executable, "-B", "-c", SCRIPT], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid  # unshare executes it without a fork
        self.tell("result = 1")
        self.netns = self.tell("result = os.stat('/proc/self/ns/net').st_ino")

    def tell(self, *statements):
        self.process.stdin.write(json.dumps("\n".join(statements)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the holder ended")
        return json.loads(line)

    def ask(self, expression):
        return self.tell(f"result = {expression}")

    def destroy(self, *arguments, **options):
        """sockleak destroy, on sockets of this namespace whatever the filter says."""
        words = [str(word) for word in arguments]
        return harness.run(harness.SOCKLEAK, "destroy", "netns", "=", self.netns, *words, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.end(self.process)


def connected_pair():
    """A connection of the test's own process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]
