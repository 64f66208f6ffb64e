"""Servers that hand connections on (to forked workers, to other threads, to executed services) and forget some on an error
path: who accepted, who holds, under which names, in which file and line. Attached to while they run, and started in a
container that is watched already."""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time
import unittest

import harness
import targets

REQUESTS = "GGBGGGBGGBGG"  # good and bad ones
KEPT = 2  # connections that their clients keep


def client(port, requests, kept):
    """Says "done" once every request is answered, the good ones' connections closed by the server, and the client's own
    closed; keeps some open until stdin ends."""
    def ask(request):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(request.encode())
        return connection, connection.recv(1)

    for request in requests:
        connection, answer = ask(request)
        if answer == b"y" and not kept:
            assert connection.recv(1) == b""
        connection.close()
    connections = [ask("G") for _ in range(kept)]
    print("done", flush=True)
    sys.stdin.read()
    del connections


@contextlib.contextmanager
def talking_to(port, kept, prefix=()):
    process = subprocess.Popen([*prefix, sys.executable, __file__, "--client", str(port), REQUESTS, str(kept)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        harness.read_line(process.stdout, "done", "the client")
        yield process
    finally:
        harness.end(process)


class Server:
    def __init__(self, process):
        self.process = process
        self.port = int(process.stdout.readline())

    def truth(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(harness.TIMEOUT)
        self.process.stdout.close()


def await_services(pid, kept):
    """Until only those are left whose clients are still there; a server's workers are none."""
    deadline = time.monotonic() + harness.TIMEOUT
    while kept and len(targets.children(pid)) != kept:
        if time.monotonic() > deadline:
            raise AssertionError(f"still there: {targets.children(pid)}")


OPTIONS = ("--json", "-v", "-q", "--older", "1ms")


def attached(program, *options, kept=0):
    """The truth and the report of a server that was there before."""
    process = subprocess.Popen([harness.PROGRAMS / program, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    server = Server(process)
    try:
        tracer = harness.Tracer("-p", process.pid, *OPTIONS)
        with talking_to(server.port, kept):
            await_services(process.pid, kept)
            truth = server.truth()
            report = harness.parse_report(tracer.result(interrupt=True))
        return truth, report
    finally:
        server.end()


def contained(test, program, *options, kept=0):
    """The same of one in a container, from its first instruction on. Its numbers are the container's."""
    ident = targets.container_id()
    with targets.cgroup(test, f"sockleak-test/docker-{ident}.scope") as group, targets.root_directory() as (root, setup):
        harness.copy_for_everyone(harness.PROGRAMS / program, root / "app")
        words = targets.in_container(setup, " ".join([f"/app/{program}", *options]))
        waiting = targets.Waiting(words, group)
        tracer = harness.Tracer("--container", ident, *OPTIONS)
        waiting.process.stdin.write("\n")
        waiting.process.stdin.flush()
        server = Server(waiting.process)
        try:
            (first,) = targets.children(waiting.process.pid)
            with talking_to(server.port, kept, ("nsenter", f"--net=/proc/{first}/ns/net")):
                await_services(first, kept)
                truth = server.truth()
                names = {number(pid): pid for pid in targets.processes(group)}
                report = harness.parse_report(tracer.result(interrupt=True))
        finally:
            server.end()
    for sock in truth["sockets"]:
        if sock["thread"] == sock["creator"]:
            sock["thread"] = names[sock["creator"]]
        else:
            sock["thread"] = None  # of a thread: not looked up
        for key in ("creator", "holder"):
            sock[key] = names[sock[key]]
    return {**truth, "container": ident}, report


def moved(test, program):
    """The same of one that is moved into a watched group and is busy at once."""
    process = subprocess.Popen([harness.PROGRAMS / program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    server = Server(process)
    try:
        with targets.cgroup(test, f"sockleak-test-{process.pid}") as group:
            tracer = harness.Tracer("-c", group, *OPTIONS)
            for pid in [process.pid, *targets.children(process.pid)]:
                targets.move(pid, group)
            with talking_to(server.port, 0):
                truth = server.truth()
                report = harness.parse_report(tracer.result(interrupt=True))
            for pid in targets.processes(group):
                targets.move(pid, group.parent)
        return truth, report
    finally:
        server.end()


def number(pid):
    """Of a process in its own pid namespace."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    raise AssertionError(f"process {pid} has no NSpid")


class Servers(unittest.TestCase):
    maxDiff = None

    def check(self, truth, report, closed="close", born=False):
        """That nothing but the forgotten connections is accused, and that all is said of them."""
        harness.assert_promise_kept(self, report)
        program = truth["program"]
        (finding,) = report["findings"]
        self.assertEqual(("leak", "accept", "tcp", truth["created"], truth["leaked"]),
                         tuple(finding[key] for key in ("verdict", "origin", "protocol", "created", "leaked")))
        self.assertEqual({"CLOSE_WAIT": truth["leaked"]}, finding["states"])
        self.assertEqual(harness.true_place(truth["created_at"]), harness.own_place(finding["created_at"], program))
        self.assertTrue(harness.is_whole(finding["created_at"]), harness.show(finding["created_at"]))
        self.assertEqual([closed], [close["how"] for close in finding["closed_at"]])
        if closed == "close":
            (close,) = finding["closed_at"]
            self.assertEqual((truth["closed"], harness.true_place(truth["closed_at"])),
                             (close["count"], harness.own_place(close["stack"], program)))
        if born:
            self.assertEqual(harness.true_place(truth["listener_created_at"]),
                             harness.own_place(finding["listener_created_at"], program))

        creators = {}
        for sock in truth["sockets"]:
            key = (sock["creator"], sock["comm"], sock["name"])
            creators[key] = creators.get(key, 0) + 1
        self.assertEqual(creators, {(c["pid"], c["comm"], c["thread"]): c["count"] for c in finding["creators"]})
        exe = f"/app/{program}" if born else str(harness.PROGRAMS / program)
        self.assertEqual({(exe, truth.get("container"))}, {(c["exe"], c["container"]) for c in finding["creators"]})

        accused = {sock["inode"]: sock for sock in finding["sockets"]}
        self.assertEqual({sock["inode"] for sock in truth["sockets"]}, set(accused))
        opened = {sock["inode"]: sock for sock in report["open_sockets"]}
        for told in truth["sockets"]:
            holders = [(h["pid"], h["fd"], h["comm"], h["handed_over"]) for h in accused[told["inode"]]["holders"]]
            self.assertEqual([(told["holder"], told["fd"], told["comm"], None)], holders)
            creator = opened[told["inode"]]["creator"]
            self.assertEqual((told["creator"], told["name"]), (creator["pid"], creator["thread"]))
            if told["thread"]:
                self.assertEqual(told["thread"], creator["tid"])
        return finding

    def assert_clean(self, report):
        self.assertEqual([], [finding["rules"] for finding in report["findings"]])

    def test_preforked_workers(self):
        for born, played in ((False, attached("prefork")), (True, contained(self, "prefork"))):
            with self.subTest(born=born):
                self.check(*played, born=born)
        self.assert_clean(attached("prefork", "--repaired")[1])

    def test_a_pool_of_threads(self):
        for born, played in ((False, attached("thread_pool")), (True, contained(self, "thread_pool"))):
            with self.subTest(born=born):
                self.check(*played, born=born)
        self.assert_clean(attached("thread_pool", "--repaired")[1])

    def test_what_a_server_brings_into_a_watched_group(self):
        for program in ("prefork", "thread_pool"):
            with self.subTest(program):
                truth, report = moved(self, program)
                harness.assert_promise_kept(self, report)
                self.assertEqual(truth["leaked"] + 1, report["totals"]["open"], "and the listener")
                opened = {sock["inode"]: sock for sock in report["open_sockets"]}
                for told in truth["sockets"]:
                    # Before it was known that it had a listener, nothing told who accepted.
                    sock = opened[told["inode"]]
                    self.assertIn(sock["origin"], ("accept", "before-attach"))
                    self.assertEqual("CLOSE_WAIT", sock["state"])
                    self.assertEqual([(told["holder"], told["fd"])], [(h["pid"], h["fd"]) for h in sock["holders"]])

    def test_executed_services(self):
        for born, (truth, report) in ((False, attached("spawner", kept=KEPT)), (True, contained(self, "spawner", kept=KEPT))):
            with self.subTest(born=born):
                self.check(truth, report, closed="exit", born=born)
                # What the services of the clients that are still there hold is no leak.
                forgotten = {sock["inode"] for sock in truth["sockets"]}
                served = [sock for sock in report["open_sockets"] if sock["state"] == "ESTABLISHED"]
                self.assertEqual(KEPT, len(served))
                for sock in served:
                    self.assertNotIn(sock["inode"], forgotten)
                    self.assertEqual([(0, "service", "fork-exec", False), (1, "service", "fork-exec", False)],
                                     [(h["fd"], h["comm"], h["handed_over"], h["cloexec"]) for h in sock["holders"]])
                    self.assertEqual(truth["sockets"][0]["creator"], sock["creator"]["pid"])
        self.assert_clean(attached("spawner", "--repaired", kept=KEPT)[1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        harness.main()
