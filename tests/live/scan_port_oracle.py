"""Uses ports in a network namespace of its own, then answers how many are left by taking them."""

import errno
import json
import socket
import subprocess
import sys

IP_BIND_ADDRESS_NO_PORT = 24
keep = []


def client(source, port, bind=False, reuse=False, no_port=False):
    sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # A source other than the default is asked for without taking a port.
    if no_port or not bind:
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))
    sock.connect((destination(source), port))
    return sock


def destination(source):
    return source if source.startswith("10.") or ":" in source else "127.0.0.1"


def connect_until_refused(source, port):
    mine = []
    try:
        while len(mine) < 100:
            mine.append(client(source, port))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
            raise
    count = len(mine)
    for sock in mine:  # leave no TIME_WAIT behind
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    return count


def time_wait(source):
    for _ in range(4):
        sock = client(source, 7001)
        accepted, _ = servers[source, 7001].accept()
        sock.close()
        accepted.close()


scenario, *settings = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", "10.77.0.1/32", "dev", "lo"], check=True)
for setting in settings + ["ip_local_port_range=40000 40009"]:
    name, value = setting.split("=")
    with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
        file.write(value)
servers = {}
for address in ("127.0.0.1", "10.77.0.1", "::1"):
    for server_port in (7001, 7002):
        servers[address, server_port] = socket.create_server(
            (address, server_port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=200)
if scenario == "plain":
    keep += [client("127.0.0.1", 7001) for _ in range(4)]
elif scenario == "plain6":
    keep += [client("::1", 7001) for _ in range(4)]
elif scenario == "bind_first":
    keep += [client("127.0.0.1", 7001, bind=True) for _ in range(4)]
elif scenario == "bind_reuseaddr":
    keep += [client("127.0.0.1", 7001, bind=True, reuse=True) for _ in range(4)]
elif scenario == "bind_no_port":
    keep += [client("127.0.0.1", 7001, no_port=True) for _ in range(4)]
elif scenario == "listeners":
    keep += [socket.create_server(("10.77.0.1", 40000 + i)) for i in range(4)]
elif scenario == "time_wait":
    time_wait("127.0.0.1")
elif scenario == "time_wait_elsewhere":
    time_wait("10.77.0.1")
print("ready", flush=True)
for line in sys.stdin:
    _, source, port = json.loads(line)
    print(connect_until_refused(source, port), flush=True)
