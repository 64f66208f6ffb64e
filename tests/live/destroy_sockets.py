"""`sockleak destroy` hits what was named and proven, and nothing else; every refusal leaves a connection that works."""

import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import time
import unittest

import harness
from socket_holder import Holder, connected_pair


def acted(outcome):
    return {entry["cookie"]: entry for entry in harness.parse_report(outcome)["sockets"]}


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def has_mptcp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
        return True
    except OSError:
        return False


class Asked:
    """`sockleak destroy` on a terminal, waiting for an answer."""

    def __init__(self, *arguments):
        self.terminal, child = pty.openpty()
        self.process = subprocess.Popen([str(harness.SOCKLEAK), "destroy", *map(str, arguments)], stdin=child,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(child)
        self.question = b""
        while b"[y/N]" not in self.question:
            if not select.select([self.process.stderr], [], [], harness.TIMEOUT)[0]:
                raise AssertionError(f"no question: {self.question}")
            read = os.read(self.process.stderr.fileno(), 4096)
            if not read:
                raise AssertionError(f"ended without asking: {self.question} {self.process.stdout.read()}")
            self.question += read

    def answer(self, text):
        os.write(self.terminal, text.encode() + b"\n")
        out, _ = self.process.communicate(timeout=harness.TIMEOUT)
        os.close(self.terminal)
        return self.process.returncode, out.decode()


class DestroySockets(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.holder = Holder()
        self.addCleanup(self.holder.__exit__)
        self.holder.tell("l = listener()", "c = [connect(l) for _ in range(3)]", "s = [l.accept()[0] for _ in c]",
                         "byport = {x.getpeername()[1]: x for x in s}", "s = [byport[port(x)] for x in c]")
        self.cookies = self.holder.ask("[cookie(x) for x in c]")
        self.ports = self.holder.ask("[port(x) for x in c]")

    def assert_alive(self, *indices):
        for index in indices:
            self.assertTrue(self.holder.ask(f"alive(c[{index}], s[{index}]) and alive(s[{index}], c[{index}])"), index)

    def assert_one_line(self, outcome, status, *words):
        error = outcome.stderr.decode()
        self.assertEqual((status, 1), (outcome.returncode, error.count("\n")), error)
        for word in words:
            self.assertIn(word, error)

    def test_only_what_is_named(self):
        outcome = self.holder.destroy("sport", "=", f":{self.ports[1]}", "--yes", "--json")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assertEqual({self.cookies[1]: "done"}, {k: v["result"] for k, v in acted(outcome).items()})
        self.assertEqual("Software caused connection abort", self.holder.ask("error(c[1].recv, 1)"))
        self.assertEqual("b''", self.holder.ask("error(c[1].recv, 1)"), "then end of file, as the plan says")
        self.assertEqual("Connection reset by peer", self.holder.ask("error(s[1].recv, 1)"))
        self.assert_alive(0, 2)

    def test_a_rate_is_kept(self):
        named = "( " + " or ".join(f"sport = :{port}" for port in self.ports) + " )"
        began = time.monotonic()
        outcome = self.holder.destroy(*named.split(), "--rate", "10/s", "--yes", "--json")
        took = time.monotonic() - began
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assertEqual(dict.fromkeys(self.cookies, "done"), {k: v["result"] for k, v in acted(outcome).items()})
        self.assertGreaterEqual(took, (len(self.cookies) - 1) / 10)

    def test_dry_run_and_plan_touch_nothing(self):
        outcome = self.holder.destroy("sport", "=", f":{self.ports[0]}", "--dry-run")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        text = outcome.stdout.decode()
        for words in ("DESTROY  1 socket", f"({self.holder.pid})", "owner sees", "the descriptor: only close()"):
            self.assertIn(words, text)
        self.assert_one_line(self.holder.destroy("sport", "=", f":{self.ports[0]}"), 2, "--yes", "--dry-run")
        self.assert_alive(0, 1, 2)

    def test_an_answer_other_than_yes_touches_nothing(self):
        status, _ = Asked(f"cookie = {self.cookies[0]}").answer("n")
        self.assertEqual(1, status)
        self.assert_alive(0, 1, 2)

    def test_a_port_that_was_reused_in_between(self):
        asked = Asked("netns", "=", self.holder.netns, "sport", "=", f":{self.ports[0]}")
        self.holder.tell("p = port(c[0])", "abort(c[0])", "abort(s[0])", "c[0] = connect(l, p)", "s[0] = l.accept()[0]")
        self.assertEqual(self.ports[0], self.holder.ask("port(c[0])"))
        status, text = asked.answer("y")
        self.assertEqual(0, status, text)
        self.assertIn("0 done · 1 already gone · 0 refused", text)
        self.assert_alive(0, 1, 2)

    def test_a_port_that_others_use_too(self):
        self.holder.tell("c.append(connect(l, 30000))", "s.append(l.accept()[0])", "l2 = listener()",
                         "d = connect(l2, 30000)", "e = l2.accept()[0]")
        asked = Asked("cookie", "=", self.holder.ask("cookie(c[3])"))
        status, text = asked.answer("yes")
        self.assertEqual(0, status, text)
        self.assertIn("1 done", text)
        self.assertTrue(self.holder.ask("alive(d, e)"))
        self.assertFalse(self.holder.ask("alive(c[3], s[3])"))
        self.assert_alive(0, 1, 2)

    def report(self, directory, boot, cookies):
        path = directory / "report.json"
        findings = [{"site": site, "sockets": [{"cookie": cookie}]} for site, cookie in cookies.items()]
        path.write_text(json.dumps({"schema": "sockleak.report/1", "host": {"boot_id": boot}, "findings": findings}))
        return path

    def test_from_a_report(self):
        with harness.scratch() as directory:
            sites = dict(zip(("a" * 16, "b" * 16), self.cookies))
            report = self.report(directory, boot_id(), sites)
            outcome = harness.run(harness.SOCKLEAK, "destroy", "--from", report, "--site", "b" * 16, "--yes", "--json")
            self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
            self.assertEqual([self.cookies[1]], list(acted(outcome)))
            self.assert_alive(0, 2)
            outcome = harness.run(harness.SOCKLEAK, "destroy", "--from", report, "--site", "c" * 16, "--yes")
            self.assert_one_line(outcome, 2, "no site")
            outcome = harness.run(harness.SOCKLEAK, "destroy", "--from",
                                  self.report(directory, "another-boot", sites), "--yes")
            self.assert_one_line(outcome, 2, "not from this machine")
            self.assert_alive(0, 2)

    def test_refuses_listeners_kernel_sockets_and_what_is_no_leak(self):
        self.holder.tell('subprocess.run("ip link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1".split(), check=True)',
                         'subprocess.run("ip link set vx0 up".split(), check=True)',
                         "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "u.bind(('127.0.0.1', 0))",
                         "t = connect(l)", "ts = l.accept()[0]", "t.close()", "ts.close()")
        mptcp = has_mptcp()
        if mptcp:
            self.holder.tell("ml = listener(protocol=262)", "mc = connect(ml, protocol=262)", "ms = ml.accept()[0]",
                             "alive(mc, ms)")
        outcome = self.holder.destroy("not", "cookie", "=", self.cookies[0], "and", "not", "cookie", "=",
                                      self.cookies[1], "--yes", "--json")
        entries = acted(outcome)
        done = {cookie for cookie, entry in entries.items() if entry["result"] == "done"}
        peer = self.holder.ask("cookie(s[2])")
        others = set(self.holder.ask("[cookie(x) for x in s[:2]]"))
        # Both ends of the unprotected connections: whichever end comes first takes the other along.
        self.assertLessEqual(done, {self.cookies[2], peer} | others, [e for e in entries.values() if e["result"] == "done"])
        refused = [entry for entry in entries.values() if not entry["allowed"]]
        # Without BPF only what the kernel says through sock_diag is known of its own sockets: that nobody holds them.
        own = {entry["cause"] for entry in refused if entry["local"]["port"] == 4789}
        self.assertLessEqual(own, {"kernel", "unknown"}, refused)
        self.assertEqual({"held", "listener", "time-wait"} | own | ({"mptcp-subflow"} if mptcp else set()),
                         {entry["cause"] for entry in refused}, refused)
        self.assertEqual(1, len(own), refused)
        if mptcp:
            self.assertTrue(self.holder.ask("alive(mc, ms)"))
        self.assertTrue(self.holder.ask("alive(connect(l), l.accept()[0]) in (True, False)"), "still listens")
        self.assertIn("4789", self.holder.ask("subprocess.run(['ss', '-uan'], capture_output=True, text=True).stdout"))

    def test_only_refusals_are_no_success(self):
        outcome = self.holder.destroy("state", "listening", "--yes")
        self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
        self.assertIn("it listens", outcome.stdout.decode())
        self.holder.tell("c.append(connect(l))", "s.append(l.accept()[0])")
        self.assert_alive(3)

    def test_what_the_test_itself_uses(self):
        client, server = connected_pair()
        with client, server:
            cookie = struct.unpack("Q", client.getsockopt(socket.SOL_SOCKET, 57, 8))[0]
            outcome = harness.run(harness.SOCKLEAK, "destroy", f"cookie = {cookie}", "--yes")
            self.assertEqual(1, outcome.returncode, outcome.stderr.decode())
            self.assertIn("--even-mine", outcome.stdout.decode())
            client.sendall(b"x")
            self.assertEqual(b"x", server.recv(1))
            outcome = harness.run(harness.SOCKLEAK, "destroy", f"cookie = {cookie}", "--yes", "--even-mine")
            self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
            with self.assertRaises(ConnectionAbortedError):
                client.recv(1)

    def test_orphans_only_if_the_kernel_lets_them_go(self):
        sent = self.holder.tell("c[0].setblocking(False)", "n = sent = 0",
                                "while n >= 0:\n    try: n = c[0].send(bytes(65536)); sent += n\n"
                                "    except BlockingIOError: n = -1",
                                "c[0].close()", "result = sent")
        outcome = self.holder.destroy("ownerless", "state", "fin-wait-1", "--yes", "--json")
        [entry] = acted(outcome).values()
        self.assertEqual("orphan", entry["cause"])
        again = self.holder.destroy("ownerless", "state", "fin-wait-1", "--dry-run").stdout.decode()
        if entry["result"] == "done":
            self.assertEqual(0, outcome.returncode)
            self.assertIn("no socket is meant", again)
        else:
            self.assertEqual(("refused", 1), (entry["result"], outcome.returncode))
            self.assertIn("bac76cf89816", entry["why"])
            self.assertIn("REFUSED  1 socket", again)
            # It is as good as before: the peer gets everything, and the end.
            self.assertEqual(sent, self.holder.tell("s[0].settimeout(10)", "n = 0",
                                                    "while data := s[0].recv(1 << 20): n += len(data)", "result = n"))
        found = "die" if entry["result"] == "done" else "stay"
        print(f"destroyed orphans {found} on this kernel", flush=True)
        self.assertEqual(os.environ.get("SOCKLEAK_ORPHANS", found), found)
        self.assert_alive(1, 2)

    def test_several_at_one_address(self):
        """SOCK_DESTROY finds one of them by the address; the named one may be the other."""
        capable = "bpf_sock_destroy" in {f["name"] for f in json.loads(
            harness.run(harness.SOCKLEAK, "doctor", "--json").stdout)["features"] if f["present"]}
        self.holder.tell("def twin():\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                         "    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n    return s",
                         "far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "far.bind(('127.0.0.1', 0))")
        outcomes = []
        for named in (0, 1):
            self.holder.tell("twins = [twin(), twin()]", "twins[0].bind(('127.0.0.1', 0))",
                             "twins[1].bind(twins[0].getsockname())", "for t in twins: t.connect(far.getsockname())")
            cookies = self.holder.ask("[cookie(t) for t in twins]")
            outcome = self.holder.destroy("cookie", "=", cookies[named], "--yes", "--json")
            outcomes.append(acted(outcome)[cookies[named]]["result"])
            gone = self.holder.ask("[error(t.getpeername) for t in twins]")
            expected = [repr(tuple(self.holder.ask("far.getsockname()")))] * 2
            if outcomes[-1] == "done":
                expected[named] = "Transport endpoint is not connected"
            self.assertEqual(expected, gone)
        print(f"bpf_sock_destroy: {capable}, the first and the second at one address: {outcomes}", flush=True)
        self.assertIn("done", outcomes)
        self.assertEqual(["done"] * 2 if capable else sorted(["done", "refused"]), outcomes if capable else sorted(outcomes))

    def test_connections_that_nobody_accepts(self):
        self.holder.tell("waiting = connect(l)")
        outcome = self.holder.destroy("cause", "=", "accept-queue", "--yes", "--json")
        self.assertEqual(0, outcome.returncode, outcome.stdout.decode() + outcome.stderr.decode())
        self.assertEqual([("accept-queue", "done")], [(e["cause"], e["result"]) for e in acted(outcome).values()])
        self.assertEqual("Connection reset by peer", self.holder.ask("error(waiting.recv, 1)"))
        self.assert_alive(0, 1, 2)

    def test_shutdown_ends_in_order(self):
        outcome = self.holder.destroy("sport", "=", f":{self.ports[0]}", "--shutdown", "--yes", "--json")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        self.assertEqual("b''", self.holder.ask("error(c[0].recv, 1)"))
        self.assertEqual("b''", self.holder.ask("error(s[0].recv, 1)"))
        self.assert_alive(1, 2)

    def test_stops_a_process_that_ignores_sigterm(self):
        with Holder() as stubborn:
            stubborn.tell("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "l = listener()", "c = connect(l)",
                          "s = l.accept()[0]")
            cookie = stubborn.ask("cookie(c)")
            outcome = harness.run(harness.SOCKLEAK, "destroy", f"cookie = {cookie}", "--stop-process", "--grace",
                                  "100ms", "--yes", "--json")
            self.assertEqual(0, outcome.returncode, outcome.stdout.decode() + outcome.stderr.decode())
            processes = harness.parse_report(outcome)["processes"]
            self.assertEqual([(stubborn.pid, "killed")], [(p["pid"], p["result"]) for p in processes])
            self.assertEqual("done", acted(outcome)[cookie]["result"])
            self.assertEqual(-signal.SIGKILL, stubborn.process.wait(harness.TIMEOUT))
        self.assert_alive(0, 1, 2)

    def test_an_ordinary_user_gets_one_line(self):
        with harness.scratch() as directory:
            program = harness.copy_for_everyone(harness.SOCKLEAK, directory)
            outcome = harness.run(*harness.as_nobody(program, "destroy", f"cookie = {self.cookies[0]}", "--yes"))
        self.assert_one_line(outcome, 3, "CAP_NET_ADMIN")
        self.assert_alive(0, 1, 2)

    def test_nothing_without_a_name(self):
        self.assert_one_line(harness.run(harness.SOCKLEAK, "destroy", "--yes"), 2, "nothing is named")
        self.assert_one_line(harness.run(harness.SOCKLEAK, "destroy", "no", "such", "--yes"), 2)
        self.assert_alive(0, 1, 2)


if __name__ == "__main__":
    harness.main()
