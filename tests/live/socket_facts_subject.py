"""Holds sockets of which it knows everything that `socket_facts.py` asks: how they were used last, what is unread, who waits.
Prints that as one JSON line, then waits until its stdin is closed. Times are CLOCK_MONOTONIC: [before, after] the event."""

import asyncio
import json
import os
import pathlib
import select
import signal
import socket
import sys
import threading
import time

KEPT = []  # sockets must not be closed because nobody refers to them
ROWS = []


def row(name, sock, **truth):
    """`truth`: unread, end_read, waiter as the report calls them; used, ended: when it carried data, when the peer closed."""
    KEPT.append(sock)
    ROWS.append({"name": name, "inode": os.fstat(sock.fileno()).st_ino, "unread": 0, "end_read": None, "waiter": "nobody",
                 **truth})
    return sock


class Moment:
    """Brackets what happens inside."""

    def __enter__(self):
        self.times = [time.monotonic()]
        return self.times

    def __exit__(self, *_):
        self.times.append(time.monotonic())


def arrived(sock, size=1):
    """So many bytes, or the end, are there for a reader."""
    while len(sock.recv(size, socket.MSG_PEEK)) not in (size, 0):
        pass


def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    KEPT.append(server)
    return client, server


def make_unread():
    with Moment() as born:
        sock, _ = pair()
    row("never used", sock, used=born)
    sock, peer = pair()
    with Moment() as used:
        peer.sendall(b"12345")
        arrived(sock, 5)
    row("five unread", sock, unread=5, used=used)
    row("has sent", peer, used=used)
    sock, peer = pair()
    with Moment() as used:
        peer.sendall(b"0123456789")
        arrived(sock, 10)
        sock.recv(4)
    row("six of ten unread", sock, unread=6, used=used)


def make_ended():
    sock, peer = pair()
    with Moment() as used:
        peer.sendall(b"abc")
        arrived(sock, 3)
    with Moment() as ended:
        peer.close()
        ended_at(sock)
    row("end and data unread", sock, unread=3, end_read=False, used=used, ended=ended)
    with Moment() as born:
        sock, peer = pair()
    with Moment() as ended:
        peer.close()
        ended_at(sock)
    row("end unread", sock, end_read=False, used=born, ended=ended)
    sock, peer = pair()
    with Moment() as used:
        sock.sendall(b"question")
        arrived(peer, 8)
        peer.recv(8)
        peer.sendall(b"answer")
        arrived(sock, 6)
        sock.recv(6)
    with Moment() as ended:
        peer.close()
        ended_at(sock)
    assert sock.recv(1) == b""
    row("end read", sock, end_read=True, used=used, ended=ended)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    sock = socket.socket()
    assert sock.connect_ex(address) != 0
    row("refused", sock, used=None, end_read=True)  # nobody noted when; connect() has told the program


def ended_at(sock):
    """Waits for the peer's end, without reading."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    poll.poll()


def make_others():
    sock = row("udp, read", socket.socket(type=socket.SOCK_DGRAM))
    sock.bind(("127.0.0.1", 0))
    sender = row("udp, has sent", socket.socket(type=socket.SOCK_DGRAM))
    sender.connect(sock.getsockname())
    sender.send(b"x")
    sock.recv(1)
    waiting = row("udp, unread", socket.socket(type=socket.SOCK_DGRAM), unread="some")
    waiting.bind(("127.0.0.1", 0))
    sender.sendto(b"123", waiting.getsockname())
    arrived(waiting)
    a, b = socket.socketpair()
    a.send(b"1234567")
    b.recv(2)
    row("unix, five of seven unread", b, unread=5)
    row("unix, has sent", a)
    a, b = socket.socketpair(type=socket.SOCK_DGRAM)
    a.send(b"12")
    a.send(b"345")
    row("unix, two messages unread", b, unread=5)
    KEPT.append(a)
    row("listens, nobody accepts", socket.create_server(("127.0.0.1", 0)))


def blocked_in(work, calls):
    """A thread that sleeps in one of those system calls (numbers on x86-64) from now on."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.native_id is None:
        pass
    state = pathlib.Path(f"/proc/self/task/{thread.native_id}/syscall")
    while state.read_text().split()[0] not in calls:
        os.sched_yield()


RECV, POLL, SELECT, ACCEPT, SEND = ("45", "0"), ("7", "271"), ("23", "270"), ("43", "288"), ("44", "1")


def make_blocked():
    def polls(sock):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        poll.poll()

    for name, work, calls, waiter in (
            ("recv", lambda sock: sock.recv(1), RECV, "thread"),
            ("poll", polls, POLL, "poll"),
            ("select", lambda sock: select.select([sock], [], []), SELECT, "poll")):
        sock, _ = pair()
        row("tcp, " + name, sock, waiter=waiter)
        blocked_in(lambda work=work, sock=sock: work(sock), calls)
        sock, peer = socket.socketpair()
        KEPT.append(peer)
        row("unix, " + name, sock, waiter=waiter)
        blocked_in(lambda work=work, sock=sock: work(sock), calls)
        sock = row("udp, " + name, socket.socket(type=socket.SOCK_DGRAM), waiter=waiter)
        sock.bind(("127.0.0.1", 0))
        blocked_in(lambda work=work, sock=sock: work(sock), calls)
    listener = row("accept", socket.create_server(("127.0.0.1", 0)), waiter="thread")
    blocked_in(listener.accept, ACCEPT)
    sock, peer = pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    row("send", sock, waiter="thread")
    blocked_in(lambda: sock.sendall(bytes(16 << 20)), SEND)


def make_polled():
    for name, flags in (("level", select.EPOLLIN), ("edge", select.EPOLLIN | select.EPOLLET),
                        ("one shot", select.EPOLLIN | select.EPOLLONESHOT)):
        poll = select.epoll()
        KEPT.append(poll)
        for kind, sock in (("tcp", pair()[0]), ("udp", socket.socket(type=socket.SOCK_DGRAM))):
            poll.register(sock, flags)
            row(f"{kind}, epoll, {name}", sock, waiter="epoll")
    poll = select.epoll()
    KEPT.append(poll)
    sock, _ = pair()
    poll.register(sock, select.EPOLLIN)
    row("epoll and recv", sock, waiter="thread")
    blocked_in(lambda: sock.recv(1), RECV)
    sock, _ = pair()
    poll.register(sock, select.EPOLLIN)
    poll.unregister(sock)
    row("epoll, no more", sock)


def make_loop():
    """What an event loop keeps."""
    ready = threading.Event()

    async def run():
        server = await asyncio.start_server(lambda reader, writer: KEPT.append(writer), "127.0.0.1", 0)
        row("asyncio, server", server.sockets[0], waiter="epoll")
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        row("asyncio, client", writer.get_extra_info("socket"), waiter="epoll")
        ready.set()
        await reader.read()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    ready.wait()


def make_used():
    """Each call takes nobody's time but its own: a send that fits."""
    for name in ("tcp", "unix", "udp"):
        def fresh(name=name):
            if name != "udp":
                first, second = pair() if name == "tcp" else socket.socketpair()
                KEPT.append(second)
                return first
            receiver, sender = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
            receiver.bind(("127.0.0.1", 0))
            KEPT.append(receiver)
            sender.connect(receiver.getsockname())
            return sender

        row(name + ", never", fresh(), bursts=[0], gap=[0, 0])
        sock = fresh()
        sock.send(b"x")
        row(name + ", once", sock, bursts=[1], gap=[0, 0])
        sock = fresh()
        before = time.monotonic()
        sock.send(b"x")
        sock.send(b"x")
        took = time.monotonic() - before
        row(name + ", twice at once", sock, bursts=[1] if took < 0.2 else [1, 2], gap=[0, 0 if took < 0.2 else took])
        sock = fresh()
        least, most = 0, 0
        before = time.monotonic()
        sock.send(b"x")
        for pause in (0.3, 0.5):  # that is what is to be seen
            after = time.monotonic()
            time.sleep(pause)
            begins = time.monotonic()
            sock.send(b"x")
            least, most = max(least, begins - after), max(most, time.monotonic() - before)
            before = begins
        row(name + ", three times", sock, bursts=[3], gap=[least, most])


if "--uses" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    make_used()
    with open(sys.argv[-1], "w", encoding="ascii") as told:
        json.dump({"pid": os.getpid(), "sockets": ROWS}, told)
    signal.pause()
make_unread()
make_ended()
make_others()
make_blocked()
make_polled()
make_loop()
print(json.dumps({"pid": os.getpid(), "sockets": ROWS}), flush=True)
sys.stdin.read()
os._exit(0)  # threads sleep
