#!/usr/bin/env python3
"""The corpus' Python programs: one function per scenario; frame_py.py has what they share. Lines that open are marked."""

import asyncio
import gc
import http.client
import socket
import socketserver
import threading
import time

from frame_py import FRAME, draw, leaked, one_in, operations, peer_port, scenario, serve_commands


def connect():
    return socket.create_connection(("127.0.0.1", peer_port()), timeout=20)


def ask(connection, request=b"echo"):
    connection.sendall(request + b"\n")
    return connection.recv(100)


def get(connection, path="/ok"):
    connection.request("GET", path)
    return connection.getresponse()


# --- leaks -----------------------------------------------------------------------------------------------------------

@scenario
def refused():
    """A stored exception keeps the frame of visit(), and with it the socket."""
    errors, n = [], draw(3, 8)

    def visit():
        one = socket.socket()  # OPENS refused
        one.connect(("127.0.0.1", FRAME.refused if one_in(n) else peer_port()))
        ask(one)
        one.close()

    for _ in operations():
        try:
            visit()
        except ConnectionRefusedError as error:
            errors.append(error)
            leaked()


@scenario
def session_per_call():
    """http.client per call, kept in a list as a "session"."""
    sessions = []
    for _ in operations():
        if not one_in(3):
            continue
        session = http.client.HTTPConnection("127.0.0.1", peer_port())
        get(session).read()  # OPENS session_per_call
        sessions.append(session)
        leaked()


@scenario
def unread_body():
    kept, n = [], draw(2, 6)
    for _ in operations():
        connection = http.client.HTTPConnection("127.0.0.1", peer_port())
        if one_in(n):
            kept.append(get(connection, "/big/5000"))  # OPENS unread_body
            leaked()
        else:
            get(connection).read()  # OPENS unread_body
            connection.close()


@scenario
def garbage():
    """Reference cycles keep them until the collector runs, which is at the end."""
    gc.disable()
    n = draw(3, 10)

    class Client:
        def __init__(self):
            self.me, self.connection = self, connect()  # OPENS garbage

    for _ in operations():
        client = Client()
        ask(client.connection)
        if one_in(n):
            leaked()
        else:
            client.connection.close()
        del client


@scenario
def interpreter_end():
    """UDP probes in a module's list, closed by the interpreter's end only."""
    for _ in operations():
        if one_in(4):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # OPENS interpreter_end
            probe.connect(("127.0.0.1", peer_port()))
            FRAME.kept.append(probe)
            leaked()


@scenario
def threading_server():
    """A handler that ends by an exception and keeps its request for the log."""
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self):
            return self.socket.accept()  # OPENS threading_server

        def shutdown_request(self, request):
            if request.fileno() not in bad:
                super().shutdown_request(request)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            while line := self.request.recv(100):
                self.request.sendall(b"ok\n")
                if line == b"bad\n":
                    bad[self.request.fileno()] = self.request
                    leaked()
                    return

    bad = {}
    with Server(("127.0.0.1", 0), Handler) as server:
        serve_commands(server.server_address[1], server.shutdown)
        server.serve_forever()


@scenario
def asyncio_server():
    """An event loop: whoever says "bad" is neither read from nor closed any more."""
    kept = []

    class Peer(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(b"ok\n")
            if data == b"bad\n":
                self.transport.pause_reading()
                kept.append(self.transport)
                leaked()

    async def serve():
        server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        serve_commands(server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set))
        await ended.wait()

    asyncio.run(serve())


@scenario
def requests_session_per_call():
    """requests.Session per call, kept alive in a list."""
    import requests
    sessions = []
    for _ in operations():
        if not one_in(3):
            continue
        session = requests.Session()
        session.get(f"http://127.0.0.1:{peer_port()}/ok")  # OPENS requests_session_per_call
        sessions.append(session)
        leaked()


@scenario
def asyncio_client():
    """A StreamWriter that nobody closes, 1 in n."""
    kept, n = [], draw(3, 10)

    async def visit(bad):
        reader, writer = await asyncio.open_connection("127.0.0.1", peer_port())
        writer.write(b"bye\n" if bad else b"echo\n")
        await reader.readline()
        if bad:
            kept.append((reader, writer))
            return leaked()
        writer.close()

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    for _ in operations():
        asyncio.run_coroutine_threadsafe(visit(one_in(n)), loop)


# --- innocent --------------------------------------------------------------------------------------------------------

class Pool:
    def __init__(self):
        self.idle, self.lock = [], threading.Lock()

    def request(self, path):
        with self.lock:
            connection = self.idle.pop() if self.idle else None
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", peer_port())
        get(connection, path).read()  # OPENS http_pool
        with self.lock:
            self.idle.append(connection)


@scenario
def http_pool():
    """A pool of HTTP connections; more of them with each step of the load."""
    pool, most = Pool(), draw(3, 8)
    for _ in operations():
        if one_in(4):
            for _ in range(draw(1, most * FRAME.level() // 2)):
                threading.Thread(target=pool.request, args=(f"/slow/{draw(60, 160)}",), daemon=True).start()


@scenario
def short_lived():
    """Closed by reference counting at the end of the function."""
    def fetch():
        connection = connect()  # OPENS short_lived
        return ask(connection)

    for _ in operations():
        fetch()


@scenario
def asyncio_chat():
    """Log-ins that stay and talk."""
    async def talk(reader, writer):
        while line := await reader.readline():
            writer.write(b"ok\n" if line else b"")
        writer.close()

    async def serve():
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        serve_commands(server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set))
        await ended.wait()

    asyncio.run(serve())


@scenario
def subscriptions():
    """Threads that wait for news."""
    def wait_for_news(kind):
        connection = connect()  # OPENS subscriptions
        connection.settimeout(None)
        connection.sendall(kind)
        while connection.recv(100):
            pass

    started, most = 0, draw(10, 30)
    for _ in operations():
        if started < most and one_in(4):
            started += 1
            threading.Thread(target=wait_for_news, args=(b"sub 1300\n" if started % 2 else b"mute\n",), daemon=True).start()


@scenario
def reaped_cache():
    """A cache of connections by key, whose reaper closes what was idle for some seconds."""
    cache, limit, lock = {}, draw(3, 7), threading.Lock()

    def reap():
        while True:
            time.sleep(0.5)  # the reaper's own pace
            with lock:
                for old in [one for one, (_, used) in cache.items() if time.monotonic() - used > limit]:
                    cache.pop(old)[0].close()

    threading.Thread(target=reap, daemon=True).start()
    for _ in operations():
        key = draw(0, 25)
        with lock:
            if key not in cache:
                cache[key] = [connect(), 0]  # OPENS reaped_cache
            cache[key][1] = time.monotonic()
            ask(cache[key][0])


@scenario
def requests_pool():
    """One requests.Session for all threads, under stepped load; left to the interpreter's end."""
    import requests
    import requests.adapters
    session, most = requests.Session(), draw(3, 7)
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=50))

    def fetch(milliseconds):
        session.get(f"http://127.0.0.1:{peer_port()}/slow/{milliseconds}")  # OPENS requests_pool

    for _ in operations():
        if one_in(4):
            for _ in range(draw(1, most * FRAME.level() // 2)):
                threading.Thread(target=fetch, args=(draw(60, 160),), daemon=True).start()


@scenario
def asyncio_pool():
    """A pool of streams in an event loop."""
    idle = []

    async def request(milliseconds):
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", peer_port())
        writer.write(f"slow {milliseconds}\n".encode())
        await reader.readline()
        idle.append((reader, writer))

    loop, most = asyncio.new_event_loop(), draw(3, 8)
    threading.Thread(target=loop.run_forever, daemon=True).start()
    for _ in operations():
        if one_in(4):
            for _ in range(draw(1, most * FRAME.level() // 2)):
                asyncio.run_coroutine_threadsafe(request(draw(60, 160)), loop)


FRAME.main()
