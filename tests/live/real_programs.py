"""Programs nobody here wrote, under load on loopback: every stack is whole, nothing is lost, nothing is a leak."""

import contextlib
import glob
import pathlib
import pwd
import shutil
import socket
import subprocess
import unittest

import harness

NGINX = """
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "ok"; }}
    location /proxy {{ proxy_pass http://127.0.0.1:{port}/; }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend in
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "ok" if {{ path / }}
  default_backend out
backend out
  option http-server-close
  http-request set-path /
  server itself 127.0.0.1:{port}
"""

# The same in each: connects to itself, closes all but every tenth connection, and ends before the interpreter can close
# those.
ROUNDS, FORGOTTEN = 100, 10
REPAIRED = {"perl": ("$i % 10", "1"), "ruby": ("i % 10 == 0 ?", "false ?"), "php": ("$i % 10", "true")}
INTERPRETERS = {
    "perl": ("-MSocket", "-e", """
        socket(my $listener, PF_INET, SOCK_STREAM, 0); bind($listener, sockaddr_in(0, INADDR_LOOPBACK)); listen($listener, 9);
        sub dial { socket(my $one, PF_INET, SOCK_STREAM, 0); connect($one, getsockname($listener)) or die; return $one; }
        my @kept;
        for my $i (1..100) { my $one = dial(); accept(my $other, $listener); if ($i % 10) { close $one } else { push @kept, $one }
                             close $other; }
        require POSIX; POSIX::_exit(0);"""),
    "ruby": ("-rsocket", "-e", """
        LISTENER = TCPServer.new('127.0.0.1', 0); KEPT = []
        def dial = TCPSocket.new('127.0.0.1', LISTENER.addr[1])
        (1..100).each { |i| one = dial; LISTENER.accept.close; i % 10 == 0 ? KEPT << one : one.close }
        exit!"""),
    "php": ("-n", "-d", "extension=posix", "-r", """
        $listener = stream_socket_server('tcp://127.0.0.1:0'); $kept = [];
        function dial($listener) { return stream_socket_client('tcp://' . stream_socket_get_name($listener, false)); }
        for ($i = 1; $i <= 100; $i++) {
          $one = dial($listener); $other = stream_socket_accept($listener); fclose($other);
          if ($i % 10) fclose($one); else $kept[] = $one;
        }
        posix_kill(getmypid(), 9);"""),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def child(*arguments, **options):
    """A program started for this test and ended with it; stderr can be read to learn when it is ready."""
    process = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, text=True, **options)
    try:
        yield process
    finally:
        harness.end(process)


@contextlib.contextmanager
def load(*arguments):
    """A load generator that runs until the test is done with it."""
    with child(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield process


def is_user(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def postgresql_programs():
    return pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])


@contextlib.contextmanager
def postgresql():
    """A server with a database that user `tester` may use without a password. -> its process, its port"""
    programs, port = postgresql_programs(), free_port()
    user = next(name for name in ("postgres", "nobody") if is_user(name))
    # PostgreSQL refuses to run as root.
    demote = ("setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups")
    with harness.scratch() as directory:
        shutil.chown(directory, user)
        data = directory / "data"
        made = harness.run(*demote, programs / "initdb", "-D", data, "-A", "trust", "-N", "-U", "tester", "--no-locale",
                           "-E", "UTF8", cwd=directory)
        if made.returncode != 0:
            raise AssertionError(made.stderr.decode())
        with child(*demote, programs / "postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
                   "-c", f"unix_socket_directories={directory}", "-c", "fsync=off", stderr=subprocess.PIPE,
                   cwd=directory) as postgres:
            harness.read_until(postgres.stderr, "ready to accept connections", "postgres")
            yield postgres, port


def await_listener(process, port):
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}")


class RealPrograms(unittest.TestCase):
    maxDiff = None

    def watch(self, name, process, client, least):
        """Attaches for five seconds; more than `least` sockets must have been made and named in that time."""
        tracer = harness.Tracer("-p", process.pid, "-d", "5s", "--json", "-v")
        outcome = tracer.result()
        self.assertIsNone(client.poll(), "the load ended before the trace did")
        self.assertEqual(0, outcome.returncode, outcome.stderr.decode())
        report = harness.parse_report(outcome)
        created, untold = {}, 0
        skipped = harness.counter(report, "hooks_skipped")  # by a preemptible kernel
        for site in report["sites"]:
            if site["origin"] == "before-attach":
                continue
            stack = site["created_at"]
            if skipped and not stack["frames"]:
                untold += site["created"]
                continue
            self.assertTrue(harness.is_whole(stack), f"{name}, {site['created']} sockets:\n{harness.show(stack)}"
                            f"\n{report['completeness']['counters']}")
            created[site["origin"]] = created.get(site["origin"], 0) + site["created"]
        print(f"\n{name}: {report['totals']} {created} {report['completeness']['counters']}", flush=True)
        self.assertGreater(sum(created.values()), least)
        self.assertEqual([], [finding for finding in report["findings"] if finding["verdict"] == "leak"])
        self.assertLessEqual(untold, skipped)
        harness.assert_promise_kept(self, report)
        for counter in harness.STACK_LOSSES:
            self.assertEqual(0, harness.counter(report, counter), counter)
        return report

    def test_nginx_with_wrk(self):
        port = free_port()
        with harness.scratch() as directory:
            config = directory / "nginx.conf"
            config.write_text(NGINX.format(directory=directory, port=port))
            with child("/usr/sbin/nginx", "-p", directory, "-c", config, "-e", "stderr",
                       stderr=subprocess.PIPE) as nginx:
                harness.read_until(nginx.stderr, "start worker process ", "nginx")
                with load("wrk", "-t1", "-c16", "-d120s", "-H", "Connection: close",
                          f"http://127.0.0.1:{port}/proxy") as wrk:
                    self.watch("nginx", nginx, wrk, least=10)

    @unittest.skipUnless(shutil.which("haproxy"), "there is no haproxy")
    def test_haproxy_with_wrk(self):
        port = free_port()
        with harness.scratch() as directory:
            config = directory / "haproxy.cfg"
            config.write_text(HAPROXY.format(port=port))
            with child("haproxy", "-V", "-db", "-f", config, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as haproxy:
                await_listener(haproxy, port)
                with load("wrk", "-t1", "-c16", "-d120s", "-H", "Connection: close", f"http://127.0.0.1:{port}/other") as wrk:
                    self.watch("haproxy", haproxy, wrk, least=10)

    def test_redis_with_redis_benchmark(self):
        port = free_port()
        with harness.scratch() as directory:
            with child("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", directory,
                       stdout=subprocess.PIPE) as redis:
                harness.read_until(redis.stdout, "Ready to accept connections", "redis")
                with load("redis-benchmark", "-p", port, "-k", "0", "-c", "16", "-n", "100000000", "-t",
                          "set") as benchmark:
                    self.watch("redis-server", redis, benchmark, least=10)

    def test_postgresql_with_pgbench(self):
        with postgresql() as (postgres, port):
            pgbench = (postgresql_programs() / "pgbench", "-h", "127.0.0.1", "-p", port, "-U", "tester")
            filled = harness.run(*pgbench, "-i", "-q", "-s", "1", "postgres")
            self.assertEqual(0, filled.returncode, filled.stderr.decode())
            with load(*pgbench, "-C", "-S", "-c", "4", "-T", "120", "postgres") as client:
                self.watch("postgres", postgres, client, least=10)

    def test_interpreters_without_names_of_their_own_frames(self):
        """Their functions are not known, but every native stack is whole, and what is forgotten is counted."""
        for name, arguments in INTERPRETERS.items():
            if shutil.which(name) is None:
                print(f"skipped: there is no {name}")
                continue
            with self.subTest(name):
                outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-v", "-t", "tcp", "--", shutil.which(name), *arguments)
                report = harness.parse_report(outcome)
                for site in report["sites"]:
                    for stack in (site["created_at"], *(close["stack"] for close in site["closed_at"] if close["how"] == "close")):
                        self.assertTrue(harness.is_whole(stack), f"{site['origin']}\n{harness.show(stack)}")
                leaked = {finding["origin"]: finding["leaked"] for finding in report["findings"] if finding["verdict"] == "leak"}
                # PHP has no way to end itself but by a signal, and what a signal finds in use is nobody's fault.
                self.assertEqual({} if name == "php" else {"connect": ROUNDS // FORGOTTEN}, leaked, outcome.stderr.decode())
                self.assertEqual(2 * ROUNDS + 1, report["totals"]["created"])
                repaired = [word.replace(*REPAIRED[name]) for word in arguments]
                outcome = harness.run(harness.SOCKLEAK, "check", "--json", "-t", "tcp", "--", shutil.which(name), *repaired)
                self.assertEqual([], [finding for finding in harness.parse_report(outcome)["findings"]
                                      if finding["verdict"] == "leak"])


if __name__ == "__main__":
    harness.main()
