"""A process per way of being ownerless, in a network namespace that the test made. Prints the truth as one JSON line,
then waits until its stdin is closed."""

import array
import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_FILES, SYS_EXIT, SYS_IO_URING_SETUP, SYS_IO_URING_REGISTER, REGISTER_FILES = 0x400, 60, 425, 427, 2
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
keep = []  # what must stay open


def listener(backlog=16):
    server = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    keep.append(server)
    return server


def pair():
    """A client and the accepted end."""
    server = listener()
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    keep.extend((client, accepted))
    return client, accepted


def truth_of(sock, cause):
    return {"local": sock.getsockname()[1], "remote": sock.getpeername()[1], "cause": cause}


def held():
    return [truth_of(sock, None) for sock in pair()]


def accept_queue():
    server = listener()
    clients = [socket.create_connection(server.getsockname()) for _ in range(3)]
    keep.extend(clients)
    clients[2].shutdown(socket.SHUT_WR)  # the waiting end becomes CLOSE_WAIT
    return [{"local": server.getsockname()[1], "remote": client.getsockname()[1], "cause": "accept-queue"}
            for client in clients]


def emfile():
    server = listener()
    clients = [socket.create_connection(server.getsockname()) for _ in range(2)]
    keep.extend(clients)
    ports = [client.getsockname()[1] for client in clients]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            keep.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        server.accept()
        raise SystemExit("accept() should have failed")
    except OSError:
        pass
    return [{"local": server.getsockname()[1], "remote": port, "cause": "accept-queue"} for port in ports]


def orphan():
    client, accepted = pair()
    accepted.setblocking(False)
    try:
        while True:  # the peer does not read: its window closes
            accepted.send(b"x" * 65536)
    except BlockingIOError:
        pass
    truth = truth_of(accepted, "orphan")
    keep.remove(accepted)
    accepted.close()
    return [truth]


def in_flight():
    client, _ = pair()
    left, right = socket.socketpair(socket.AF_UNIX)
    keep.extend((left, right))
    left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno()]))])
    truth = truth_of(client, "in-flight")
    keep.remove(client)
    client.close()
    return [truth]


def ring_slot():
    client, _ = pair()
    parameters = (ctypes.c_uint32 * 30)()
    ring = LIBC.syscall(SYS_IO_URING_SETUP, 4, parameters)
    if ring < 0:
        return None
    files = (ctypes.c_int32 * 3)(-1, client.fileno(), -1)
    if LIBC.syscall(SYS_IO_URING_REGISTER, ring, REGISTER_FILES, files, 3) != 0:
        raise SystemExit("cannot register files")
    truth = truth_of(client, "io-uring-slot")
    keep.remove(client)
    client.close()
    return [truth]


def blocked_call():
    client, _ = pair()
    truth = truth_of(client, "blocked-call")
    keep.remove(client)
    fd = client.detach()
    buffer = ctypes.create_string_buffer(16)
    task = []

    def receive():
        task.append(threading.get_native_id())
        LIBC.recv(fd, buffer, 16, 0)

    threading.Thread(target=receive, daemon=True).start()
    while True:  # until the thread is asleep in recvfrom (45)
        if task:
            with open(f"/proc/self/task/{task[0]}/syscall", encoding="ascii") as file:
                if file.read().startswith("45 "):
                    break
    os.close(fd)
    return [truth]


def mapping():
    client, _ = pair()
    if LIBC.mmap(None, 4096, 1, 1, client.fileno(), 0) == ctypes.c_void_p(-1).value:
        return None
    truth = truth_of(client, "mapping")
    keep.remove(client)
    client.close()
    return [truth]


def unshared_files():
    client, _ = pair()
    truth = truth_of(client, "unshared-files")
    done = threading.Event()

    def hold():
        LIBC.unshare(CLONE_FILES)
        done.set()
        threading.Event().wait()

    threading.Thread(target=hold, daemon=True).start()
    done.wait()
    keep.remove(client)
    client.close()
    return [truth]


def zombie_leader():
    return [truth_of(sock, "zombie-leader") for sock in pair()]


def invisible():
    """Closed by the peer's reset, and never connected."""
    client, accepted = pair()
    port = client.getsockname()[1]
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    keep.remove(accepted)
    remote = accepted.getsockname()[1]
    accepted.close()
    keep.append(socket.socket())
    return [{"local": port, "remote": remote, "cause": None, "invisible": True},
            {"local": 0, "remote": 0, "cause": None, "invisible": True}]


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    truth = globals()[sys.argv[1]]()
    print(json.dumps(truth), flush=True)
    if sys.argv[1] == "zombie_leader":
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0))).start()
        LIBC.syscall(SYS_EXIT, 0)
    sys.stdin.read()
    os._exit(0)


main()
