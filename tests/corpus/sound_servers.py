"""Debian's servers with loads under which they are sound: how each is started with a configuration of its own, and who talks to it.

A server is ready when its port answers; that is tried again and again, because these programs have no other way to say so.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

PATIENCE = 60
HERE = pathlib.Path(__file__).resolve().parent
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")


class Box:
    """A directory, ports, processes and loads of one row; everything ends with it."""

    def __init__(self, directory, wrap=()):
        self.directory, self.wrap = directory, list(wrap)
        self.stop, self.threads, self.stack = threading.Event(), [], contextlib.ExitStack()
        self.log = self.stack.enter_context(open(directory / "log", "w"))
        self.main, self.main_pid, self.sign, self.problems = None, None, signal.SIGTERM, []

    def port(self):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def spawn(self, words, **options):
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                   start_new_session=True, **options)
        self.stack.callback(self.finish, process)
        return process

    def finish(self, process, sign=signal.SIGTERM, patience=5):
        for one in (sign, signal.SIGINT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(one)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(patience)
        return None

    def server(self, *words, port, before=(), **options):
        """The program that is looked at; below `check` in that mode. `before` is what changes its user."""
        prefix = [*self.wrap[:-1], *(["--user", "postgres"] if before else []), "--"] if self.wrap else list(before)
        self.main = self.spawn([*prefix, *words], **options)
        self.await_port(port, self.main)
        self.main_pid = self.child_of(self.main.pid) if self.wrap else self.main.pid
        return self.main

    def helper(self, *words, port, **options):
        process = self.spawn(words, **options)
        self.await_port(port, process)
        return process

    def child_of(self, pid):
        return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def await_port(self, port, process):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if process.poll() is not None:
                raise RuntimeError(f"ended with {process.poll()} before it listened; see {self.log.name}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.1)  # until the next try
        raise RuntimeError(f"nobody listens on port {port}")

    # --- loads ---

    def load(self, work, *arguments):
        def guarded():
            try:
                work(*arguments)
            except OSError as error:
                if not self.stop.is_set():
                    self.problems.append(str(error))

        self.threads.append(threading.Thread(target=guarded, daemon=True))
        self.threads[-1].start()

    def command(self, *words, again=True, gap=0.0):
        """Runs a client program, again and again while the load lasts."""
        def work():
            while not self.stop.is_set():
                self.spawn(words).wait()
                if not again or self.stop.wait(gap):
                    return
        self.load(work)

    def clients(self, port, greeting, count, gap, pause=None, answer=1):
        """So many clients, one every `gap` seconds; each says something, and every `pause` seconds again (None: stays idle)."""
        def talk(one):
            while not self.stop.wait(pause):
                one.sendall(greeting)
                if answer and not one.recv(65536):
                    return

        def work():
            for _ in range(count):
                one = self.stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
                one.sendall(greeting)
                if answer:
                    one.recv(65536)
                if pause:
                    self.load(talk, one)
                if self.stop.wait(gap):
                    return
        self.load(work)

    def close(self):
        self.stop.set()
        self.stack.close()
        for one in self.threads:
            one.join(1)


# --- the servers -----------------------------------------------------------------------------------------------------

def redis(box):
    port = box.port()
    box.server("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", box.directory, "--save", "", port=port)
    box.clients(port, b"PING\r\n", 25, 1.5)  # idle
    box.clients(port, b"INCR x\r\n", 15, 1, pause=1.5)
    box.clients(port, b"BLPOP nothing 0\r\n", 20, 2, answer=0)
    box.clients(port, b"SUBSCRIBE news\r\n", 10, 3)
    box.command("redis-cli", "-p", port, "PUBLISH", "news", "x", gap=1)


NGINX = """daemon off; worker_processes 2; user nobody nogroup; pid {directory}/pid; error_log stderr;
events {{ worker_connections 512; }}
http {{ access_log off; keepalive_timeout 600s; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
 fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
 server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }} }}
"""
HTTP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def nginx(box):
    port = box.port()
    config = box.file("nginx.conf", NGINX.format(directory=box.directory, port=port))
    box.server("nginx", "-c", config, "-e", "stderr", port=port)
    box.clients(port, HTTP, 30, 1)  # idle, kept alive
    box.clients(port, HTTP, 20, 1.5, pause=2)
    box.command("wrk", "-t1", "-c10", "-d4s", f"http://127.0.0.1:{port}/", gap=3)


HAPROXY = """global
  maxconn 500
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{behind} maxconn 100
"""


def haproxy(box):
    port, behind = box.port(), box.port()
    config = box.file("nginx.conf", NGINX.format(directory=box.directory, port=behind))
    box.helper("nginx", "-c", config, "-e", "stderr", port=behind)
    box.server("haproxy", "-db", "-f", box.file("haproxy.cfg", HAPROXY.format(port=port, behind=behind)), port=port)
    box.clients(port, HTTP, 40, 0.8)
    box.clients(port, HTTP, 15, 2, pause=1.5)
    box.command("wrk", "-t1", "-c8", "-d3s", f"http://127.0.0.1:{port}/", gap=4)


def cluster(box):
    """A PostgreSQL of its own: its data directory and port."""
    data, port = box.directory / "data", box.port()
    data.mkdir()
    os.chown(data, *(int(subprocess.check_output(["id", one, "postgres"])) for one in ("-u", "-g")))
    subprocess.run([*AS_POSTGRES, POSTGRES / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"], check=True,
                   stdout=box.log, stderr=box.log, cwd=box.directory)
    words = [POSTGRES / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", data, "-c", "fsync=off",
             "-c", "max_connections=200"]
    return words, port


def fill(box, port):
    subprocess.run(["pgbench", "-i", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres"], check=True,
                   stdout=box.log, stderr=box.log, timeout=PATIENCE)


def growing_pgbench(box, port, shortest=4):
    """pgbench with more and more clients, then the same once more."""
    def work():
        for clients in (2, 4, 8, 12, 16, 20, 20, 20):
            box.spawn(["pgbench", "-n", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-c", clients, "-j", 1, "-T", shortest,
                       "-R", 40, "postgres"]).wait()
            if box.stop.is_set():
                return
    box.load(work)


def postgres(box):
    words, port = cluster(box)
    box.sign = signal.SIGINT  # SIGTERM waits for every client to go
    box.server(*words, port=port, before=AS_POSTGRES, cwd=box.directory)
    fill(box, port)
    growing_pgbench(box, port)
    for _ in range(5):
        box.command("psql", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-c", "select pg_sleep(100)", "postgres", again=False)


PGBOUNCER = """[databases]
postgres = host=127.0.0.1 port={behind} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 15
unix_socket_dir =
logfile = {directory}/pgbouncer.log
"""


def pgbouncer(box):
    words, behind = cluster(box)
    box.helper(*AS_POSTGRES, *words, port=behind, cwd=box.directory)
    fill(box, behind)
    port = box.port()
    box.directory.chmod(0o777)
    config = box.file("pgbouncer.ini", PGBOUNCER.format(port=port, behind=behind, directory=box.directory))
    box.server("pgbouncer", config, port=port, before=AS_POSTGRES, cwd=box.directory)
    growing_pgbench(box, port)


APACHE = """ServerRoot {directory}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {directory}/pid
ErrorLog /dev/stderr
User www-data
Group www-data
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
DocumentRoot {directory}/www
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
StartServers 4
MaxRequestWorkers 40
"""


def apache(box):
    port = box.port()
    (box.directory / "www").mkdir()
    box.file("www/index.html", "ok\n")
    config = box.file("apache.conf", APACHE.format(directory=box.directory, port=port))
    box.server("apache2", "-f", config, "-DFOREGROUND", port=port)
    box.clients(port, b"GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n", 20, 1.5, pause=3)
    box.command("wrk", "-t1", "-c6", "-d3s", f"http://127.0.0.1:{port}/index.html", gap=4)


def memcached(box):
    port = box.port()
    box.server("memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-t", 2, port=port)
    box.clients(port, b"get x\r\n", 40, 0.8)
    box.clients(port, b"set x 0 0 1\r\n1\r\n", 25, 1.5, pause=2)


def mosquitto(box):
    port = box.port()
    config = box.file("mosquitto.conf", f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    box.server("mosquitto", "-c", config, port=port)

    def subscribers():
        for number in range(20):
            box.spawn(["mosquitto_sub", "-p", port, "-t", "news" if number % 2 else "silence"])
            if box.stop.wait(2):
                return
    box.load(subscribers)
    box.command("mosquitto_pub", "-p", port, "-t", "news", "-m", "x", gap=0.7)


DNS_SERVER = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.bind(("127.0.0.1", int(sys.argv[1])))
listener = socket.socket(); listener.bind(("127.0.0.1", int(sys.argv[1]))); listener.listen()
while True:
    data, peer = one.recvfrom(600)
    one.sendto(data[:2] + b"\\x81\\x83" + data[4:12] + data[12:], peer)   # there is no such name
"""


def query(number):
    name = b"".join(bytes([len(label)]) + label for label in (b"n%d" % number, b"example"))
    return b"%c%c\x01\0\0\1\0\0\0\0\0\0" % (number >> 8 & 255, number & 255) + name + b"\0\0\1\0\1"


def dnsmasq(box):
    port, behind = box.port(), box.port()
    box.helper(sys.executable, "-c", DNS_SERVER, behind, port=behind)
    box.server("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
               "--listen-address=127.0.0.1", f"--port={port}", f"--server=127.0.0.1#{behind}", "--user=nobody",
               f"--pid-file={box.directory}/pid", port=port)

    def work():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.connect(("127.0.0.1", port))
            one.settimeout(2)
            for number in range(1 << 16):
                with contextlib.suppress(TimeoutError):
                    one.send(query(number))
                    one.recv(600)
                if box.stop.wait(0.08):
                    return
    box.load(work)
    over_tcp = query(7)
    box.clients(port, len(over_tcp).to_bytes(2, "big") + over_tcp, 10, 3)


SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
StrictModes no
UsePAM no
PidFile {directory}/pid
"""


def sshd(box):
    port = box.port()
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", box.directory / key], check=True)
    box.server("/usr/sbin/sshd", "-D", "-e", "-f", box.file("sshd.conf", SSHD.format(port=port, directory=box.directory)), port=port)

    def sessions():
        for seconds in (40, 5, 3, 40, 8, 2, 40, 3, 3, 5, 3):
            box.spawn(["ssh", "-q", "-p", port, "-i", box.directory / "user", "-o", "StrictHostKeyChecking=no", "-o",
                       "UserKnownHostsFile=/dev/null", "root@127.0.0.1", f"sleep {seconds}"])
            if box.stop.wait(4):
                return
    box.load(sessions)


SERVERS = {one.__name__: one for one in (redis, nginx, haproxy, pgbouncer, postgres, apache, memcached, mosquitto, dnsmasq, sshd)}
