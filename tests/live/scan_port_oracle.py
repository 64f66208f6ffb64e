"""Uses ports in a network namespace of its own, then answers how many are left by taking them."""

import errno
import json
import socket
import subprocess
import sys

IP_BIND_ADDRESS_NO_PORT = 24
SERVERS = [(address, port) for address in ("127.0.0.1", "10.77.0.1", "::1") for port in (7001, 7002)]
keep = []
servers = {}


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def client(source, to, bind=False, reuse=False):
    """A connection from `source`, which is asked for without taking a port, unless `bind`."""
    sock = socket.socket(family(source))
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not bind:
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))
    try:
        sock.connect(to)
    except OSError:
        sock.close()
        raise
    return sock


def bound(source):
    sock = socket.socket(family(source))
    try:
        sock.bind((source, 0))
    except OSError:
        sock.close()
        raise
    return sock


def count(take):
    """How many times it can be taken; nothing is left of it, no TIME_WAIT either."""
    mine = []
    try:
        while len(mine) < 100:
            mine.append(take())
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
            raise
    for sock in mine:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    return len(mine)


def drain():
    """Takes the other ends of what is gone out of the accept queues; those of what is kept stay open."""
    for server in servers.values():
        server.setblocking(False)
        try:
            while True:
                accepted, _ = server.accept()
                try:
                    accepted.getpeername()
                    keep.append(accepted)
                except OSError:
                    accepted.close()
        except BlockingIOError:
            server.setblocking(True)


def time_wait(source, number):
    for _ in range(number):
        sock = client(source, (source, 7001))
        accepted, _ = servers[source, 7001].accept()
        sock.close()
        accepted.close()


def use(scenario):
    home = ("127.0.0.1", 7001)
    if scenario == "plain":
        keep.extend(client("127.0.0.1", home) for _ in range(4))
    elif scenario == "plain6":
        keep.extend(client("::1", ("::1", 7001)) for _ in range(4))
    elif scenario == "exhausted":
        keep.extend(client("127.0.0.1", home) for _ in range(10))
    elif scenario == "bind_first":
        keep.extend(client("127.0.0.1", home, bind=True) for _ in range(4))
    elif scenario == "bind_first6":
        keep.extend(client("::1", ("::1", 7001), bind=True) for _ in range(4))
    elif scenario == "bind_first_exhausted":
        keep.extend(client("127.0.0.1", home, bind=True) for _ in range(10))
    elif scenario == "bind_reuseaddr":
        keep.extend(client("127.0.0.1", home, bind=True, reuse=True) for _ in range(4))
    elif scenario == "bind_only":
        keep.extend(bound("127.0.0.1") for _ in range(4))
    elif scenario == "no_port_twice":
        for to in (home, ("127.0.0.1", 7002)):
            keep.extend(client("127.0.0.1", to) for _ in range(4))
    elif scenario == "two_sources":
        for source, number in (("127.0.0.1", 4), ("127.0.0.2", 3)):
            keep.extend(client(source, home) for _ in range(number))
    elif scenario == "listeners":
        keep.extend(socket.create_server(("10.77.0.1", 40000 + i)) for i in range(4))
    elif scenario == "listeners6":
        keep.extend(socket.create_server(("::", 40000 + i), family=socket.AF_INET6, dualstack_ipv6=True)
                    for i in range(3))
    elif scenario == "time_wait":
        time_wait("127.0.0.1", 4)
    elif scenario == "time_wait_elsewhere":
        time_wait("10.77.0.1", 4)
    elif scenario == "time_wait6":
        time_wait("::1", 4)
    elif scenario != "nothing":
        raise SystemExit(f"no scenario {scenario}")


def write_setting(setting):
    name, value = setting.split("=")
    with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
        file.write(value)


def main():
    scenario, *settings = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", "10.77.0.1/32", "dev", "lo"], check=True)
    for setting in settings + ["ip_local_port_range=40000 40009"]:
        write_setting(setting)
    for name in SERVERS:
        servers[name] = socket.create_server(name, family=family(name[0]), backlog=200)
    use(scenario)
    drain()
    print("ready", flush=True)
    for line in sys.stdin:
        kind, *words = json.loads(line)
        answer = None
        if kind == "connect":
            source, address, port = words
            answer = count(lambda: client(source, (address, port)))
        elif kind == "bind":
            answer = count(lambda: bound(words[0]))
        elif kind == "set":
            write_setting(words[0])
        drain()
        print(json.dumps(answer), flush=True)


main()
