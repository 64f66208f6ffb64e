"""A process per way of being ownerless, in a network namespace that the test made. Prints the truth as one JSON line,
then waits until its stdin is closed."""

import array
import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_FILES, SYS_EXIT, SYS_IO_URING_SETUP, SYS_IO_URING_REGISTER, REGISTER_FILES = 0x400, 60, 425, 427, 2
SYS_IO_URING_ENTER, IPPROTO_MPTCP = 426, 262
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
keep = []  # what must stay open
ends = []  # what is to be done in the end


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


def last_ack():
    """As orphan(), but the peer closed first."""
    client, accepted = pair()
    accepted.setblocking(False)
    try:
        while True:
            accepted.send(b"x" * 65536)
    except BlockingIOError:
        pass
    client.shutdown(socket.SHUT_WR)
    accepted.recv(1)
    truth = truth_of(accepted, "orphan")
    keep.remove(accepted)
    accepted.close()
    return [truth]


def mini_sockets():
    """What is no socket any more, or not yet: TIME_WAIT, FIN_WAIT2 without an owner, a handshake that is not over."""
    client, accepted = pair()
    truths = [truth_of(client, "time-wait")]
    keep.remove(client)
    keep.remove(accepted)
    client.close()
    accepted.close()
    client, _ = pair()
    truths.append(truth_of(client, "time-wait"))
    keep.remove(client)
    client.close()
    server = listener()
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    client = socket.create_connection(server.getsockname())
    keep.append(client)
    truths.append({"local": server.getsockname()[1], "remote": client.getsockname()[1], "cause": "request"})
    return truths


def stuck_exit():
    """A process that was killed and whose exit hangs in the flush of a file, because its file system does not answer."""
    directory = tempfile.mkdtemp(prefix="sockleak-test-")
    path = os.path.join(directory, "file")
    with open(path, "wb"):
        pass
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        return None
    LIBC.unshare(0x20000)  # CLONE_NEWNS: the mount ends with us
    LIBC.mount(None, b"/", None, 0x40000 | 0x4000, None)  # private, recursively
    options = f"fd={device},rootmode=100644,user_id=0,group_id=0".encode()
    if LIBC.mount(b"test", path.encode(), b"fuse", 0, options) != 0:
        return None
    flushing, unanswered = threading.Event(), []

    def serve():
        """Answers everything but FLUSH (linux/fuse.h), until the end."""
        attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o100644, 1, 0, 0, 0, 4096, 0)
        while True:
            try:
                request = os.read(device, 1 << 17)
            except OSError:
                return
            _, operation, unique = struct.unpack_from("<IIQ", request)
            if operation == 25:  # FLUSH
                unanswered.append(struct.pack("<IiQ", 16, 0, unique))
                flushing.set()
                continue
            body = {26: struct.pack("<IIIIHHIIHHI", 7, 26, 65536, 0, 16, 12, 65536, 1, 0, 0, 0) + bytes(24),  # INIT
                    3: struct.pack("<QII", 60, 0, 0) + attributes,                                             # GETATTR
                    14: struct.pack("<QII", 1, 0, 0)}.get(operation)                                           # OPEN
            error = 0 if body is not None else -38
            os.write(device, struct.pack("<IiQ", 16 + len(body or b""), error, unique) + (body or b""))

    threading.Thread(target=serve, daemon=True).start()
    server = listener()
    told, tell = os.pipe()
    # The sockets are the child's alone, one below and one above the file's descriptor.
    child = os.fork()
    if child == 0:
        os.close(device)
        mine = [socket.create_connection(server.getsockname())]
        hangs = os.open(path, os.O_RDONLY)
        mine.append(socket.create_connection(server.getsockname()))
        server.close()
        os.write(tell, json.dumps([truth_of(sock, "stuck-exit") for sock in mine]).encode())
        signal.pause()
        os.close(hangs)
    keep.extend(server.accept()[0] for _ in range(2))
    truths = json.loads(os.read(told, 4096))
    os.kill(child, signal.SIGKILL)
    if not flushing.wait(30):
        raise SystemExit("the child's exit does not flush")
    ends.append(lambda: ([os.write(device, answer) for answer in unanswered], os.waitpid(child, 0)))
    return truths


def heir():
    """Inherited: whoever opened it has closed it."""
    client, _ = pair()
    child = os.fork()
    if child == 0:
        threading.Event().wait()
    truth = dict(truth_of(client, None), holder=child)
    keep.remove(client)
    client.close()
    ends.append(lambda: (os.kill(child, signal.SIGKILL), os.waitpid(child, 0)))
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


def ring_request():
    """A receive that waits in an io_uring; its descriptor is closed."""
    client, _ = pair()
    parameters = (ctypes.c_uint32 * 30)()
    ring = LIBC.syscall(SYS_IO_URING_SETUP, 4, parameters)
    if ring < 0:
        return None
    entries, tail, mask, array_at = parameters[0], parameters[11], parameters[12], parameters[16]
    rings = mmap.mmap(ring, array_at + entries * 4, mmap.MAP_SHARED | mmap.MAP_POPULATE)
    requests = mmap.mmap(ring, entries * 64, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=0x10000000)
    buffer = ctypes.create_string_buffer(16)
    keep.extend((rings, requests, buffer))
    # IORING_OP_RECV = 27 (linux/io_uring.h, struct io_uring_sqe)
    requests[0:40] = struct.pack("<BBHiQQIIQ", 27, 0, 0, client.fileno(), 0, ctypes.addressof(buffer), 16, 0, 1)
    struct.pack_into("<I", rings, array_at, 0)
    at, = struct.unpack_from("<I", rings, tail)
    assert struct.unpack_from("<I", rings, mask)[0] == entries - 1
    struct.pack_into("<I", rings, tail, at + 1)
    if LIBC.syscall(SYS_IO_URING_ENTER, ring, 1, 0, 0, None, 0) != 1:
        raise SystemExit("cannot submit")
    truth = truth_of(client, "io-uring-request")
    keep.remove(client)
    client.close()
    return [truth]


def kernel():
    """VXLAN opens a UDP socket for itself."""
    for words in ("link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1", "link set vx0 up"):
        if subprocess.run(["ip", *words.split()], check=False).returncode != 0:
            return None
    return [{"protocol": "udp", "local": 4789, "remote": 0, "cause": "kernel"}]


def mptcp_subflow():
    """The MPTCP socket is closed; its subflow goes on, because the peer does not take the data."""
    try:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError:
        return None
    server.bind(("127.0.0.1", 0))
    server.listen(4)
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    client.sendall(b"x")  # the handshake of MPTCP is over with the first data
    accepted.recv(1)
    accepted.sendall(b"x")
    client.recv(1)
    keep.extend((server, accepted))
    client.setblocking(False)
    try:
        while True:
            client.send(b"x" * 65536)
    except BlockingIOError:
        pass
    truth = truth_of(client, "mptcp-subflow")
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


def mixture():
    """What must be told apart with whatever privileges."""
    return held() + accept_queue() + orphan() + in_flight()


def go_on_alone(truth):
    """Once the main thread has ended."""
    state = ""
    while state != "Z":
        with open(f"/proc/{os.getpid()}/stat", encoding="ascii") as file:
            state = file.read().rsplit(") ", 1)[1][0]
    print(json.dumps(truth), flush=True)
    sys.stdin.read()
    os._exit(0)


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if sys.argv[2:] == ["wait"]:  # until somebody watches
        print("ready", flush=True)
        sys.stdin.readline()
    truth = globals()[sys.argv[1]]()
    if sys.argv[1] == "zombie_leader":
        threading.Thread(target=go_on_alone, args=(truth,)).start()
        LIBC.syscall(SYS_EXIT, 0)
    print(json.dumps(truth), flush=True)
    sys.stdin.read()
    for end in ends:
        end()
    os._exit(0)


main()
