#!/usr/bin/env python3
"""The other side of every program of the corpus: a server for clients, the clients of servers.

As a server it does what each request says (TCP, a unix socket; UDP for echo and mute):

    echo          answers at once            mute        never answers
    slow MS       answers after so long      big N       answers with N bytes
    bye           answers and hangs up       reset       resets the connection
    sub MS        says something every MS    idle MS     answers; hangs up when nothing is asked for so long
    sink RATE     reads so many bytes a second from now on
    GET /...      HTTP/1.1 with keep-alive: /ok, /slow/MS, /big/N, /bye, /idle/MS, /mute

One port refuses, one has a full backlog. As clients (--drive) it opens connections to a server in the shape of the load.
stdin: "drive PORT", "go", "stop"; its end is the end. The pauses here are the peer's behaviour.
"""

import argparse
import asyncio
import os
import pathlib
import random
import socket
import struct
import sys
import tempfile
import time

TCP_REPAIR = 19


# --- server ----------------------------------------------------------------------------------------------------------

class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer, self.idle = reader, writer, None

    async def serve(self):
        try:
            while True:
                line = await asyncio.wait_for(self.reader.readline(), self.idle)
                if not line:
                    break
                words = line.decode("latin-1").split()
                if not words:
                    continue
                if not await (self.http(words) if words[0] in ("GET", "POST") else self.act(words)):
                    break
        except (ConnectionError, asyncio.TimeoutError, asyncio.CancelledError, ValueError):
            pass  # gone, idle for too long, or the end of this program
        finally:
            self.writer.close()

    def say(self, text):
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()
        return False

    async def act(self, words):
        what, number = words[0], int(words[1]) if len(words) > 1 else 0
        if what == "mute":
            return True
        if what == "reset":
            return self.reset()
        if what == "sink":
            while True:
                if not await self.reader.read(max(1, number // 10)):
                    return False
                await asyncio.sleep(0.1)
        if what == "sub":
            while True:
                self.say("news\n")
                await self.writer.drain()
                await asyncio.sleep(number / 1000)
        if what == "slow":
            await asyncio.sleep(number / 1000)
        if what == "idle":
            self.idle = number / 1000
        self.say("x" * number + "\n" if what == "big" else "ok\n")
        await self.writer.drain()
        return what != "bye"

    async def http(self, words):
        length, parts = 0, words[1].strip("/").split("/")
        while (header := await self.reader.readline()) not in (b"\r\n", b"\n", b""):
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        if length:
            await self.reader.readexactly(length)
        what, number = parts[0], int(parts[1]) if len(parts) > 1 else 0
        if what == "mute":
            return True
        if what == "slow":
            await asyncio.sleep(number / 1000)
        if what == "idle":
            self.idle = number / 1000
        body = b"x" * number if what == "big" else b"ok"
        close = b"Connection: close\r\n" if what == "bye" else b""
        self.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + close + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await self.writer.drain()
        return what != "bye"


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        if data.startswith(b"echo"):
            self.transport.sendto(b"ok\n", peer)


async def serve(directory):
    """Opens everything; gives the ports, and what must be kept alive."""
    async def connected(reader, writer):
        await Connection(reader, writer).serve()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=512)
    port = server.sockets[0].getsockname()[1]
    path = str(directory / "peer")
    local = await asyncio.start_unix_server(connected, path, backlog=512)
    datagrams = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", port))
    refusing = socket.socket()
    refusing.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, and not listening
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    filling = [socket.socket() for _ in range(3)]
    for one in filling:
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    ports = f"{port} {refusing.getsockname()[1]} {full.getsockname()[1]} {path}"
    return ports, [server, local, datagrams, refusing, full, filling]


# --- clients ---------------------------------------------------------------------------------------------------------

class Load:
    """When the next operation is due; the same shapes as in the programs."""

    def __init__(self, options):
        self.random = random.Random(options.seed * 7919 + 5)
        self.shape, self.duration = options.shape, options.duration
        self.rate = self.random.uniform(5, 20)
        self.burst, self.period = self.random.randint(8, 25), self.random.uniform(2, 5)
        self.stop_after = self.duration * self.random.uniform(0.25, 0.5)
        self.go, self.stopped, self.done, self.began = asyncio.Event(), False, 0, 0.0

    def start(self):
        self.began = time.monotonic()
        self.go.set()

    def level(self):
        if self.shape != "stepped":
            return 2
        return 1 + min(3, int(4 * (time.monotonic() - self.began) / self.duration))

    def gap(self):
        jitter = self.random.uniform(0.7, 1.3)
        if self.shape == "bursty":
            return 0.02 if self.done % self.burst else self.period * jitter
        if self.shape == "stepped":
            return jitter * 2 / (self.rate * self.level())
        return jitter / self.rate

    async def operations(self):
        await self.go.wait()
        while True:
            elapsed = time.monotonic() - self.began
            if self.stopped or (self.shape == "stops" and elapsed > self.stop_after):
                return
            self.done += 1
            yield self.done
            await asyncio.sleep(self.gap())


class Clients:
    def __init__(self, options):
        self.load, self.port, self.tasks = Load(options), 0, set()
        chance = self.load.random
        self.bad_one_in = chance.randint(3, 12)
        self.pause, self.stay = chance.uniform(0.8, 3), chance.uniform(2, 8)
        self.most = chance.randint(15, 50)
        self.behave = getattr(self, options.drive) if options.drive else None

    async def run(self):
        async for number in self.load.operations():
            if not self.wanted(number):
                continue
            task = asyncio.ensure_future(self.one(number))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def wanted(self, number):
        """Those that stay come more rarely, and not without end."""
        if self.behave in (self.short, self.mixed):
            return True
        if self.behave in (self.gone, self.polls):
            return number % 3 == 0
        return number % 5 == 0 and (self.behave == self.logins or len(self.tasks) < self.most)

    async def one(self, number):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            await self.behave(reader, writer, number)
            writer.close()
        except (ConnectionError, OSError):
            pass

    async def ask(self, reader, writer, request):
        writer.write(request + b"\n")
        return await reader.readline()

    async def short(self, reader, writer, _number):
        await self.ask(reader, writer, b"hi")

    async def mixed(self, reader, writer, _number):
        bad = self.load.random.randrange(self.bad_one_in) == 0
        await self.ask(reader, writer, b"bad" if bad else b"hi")

    async def talk(self, reader, writer, _number):
        while await self.ask(reader, writer, b"hi"):
            await asyncio.sleep(self.pause * self.load.random.uniform(0.5, 1.5))

    async def logins(self, reader, writer, number):
        await self.talk(reader, writer, number)

    async def hold(self, reader, writer, _number):
        await self.ask(reader, writer, b"hi")
        await reader.read()

    async def visit(self, reader, writer, _number):
        await self.ask(reader, writer, b"hi")
        await asyncio.sleep(self.stay * self.load.random.uniform(0.3, 1.5))

    async def polls(self, reader, writer, _number):
        await self.ask(reader, writer, b"poll")

    async def gone(self, reader, writer, number):
        """Everybody talks every second; some say good-bye, the others' ends just vanish: no FIN, no RST."""
        for _ in range(self.load.random.randint(3, 8)):
            await self.ask(reader, writer, b"hi")
            await asyncio.sleep(self.load.random.uniform(0.5, 1.2))
        if number % 2 == 0:
            await self.ask(reader, writer, b"gone")
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            writer.transport.abort()


async def commands(clients):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        words = line.decode().split()
        if words[0] == "drive":
            clients.port = int(words[1])
        elif words[0] == "go":
            clients.load.start()
        elif words[0] == "stop":
            clients.load.stopped = True


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", default="steady")
    parser.add_argument("--duration", type=float, default=30)
    parser.add_argument("--drive")
    parser.add_argument("--ready-fd", type=int, default=1)
    options = parser.parse_args()
    clients = Clients(options)
    with tempfile.TemporaryDirectory(prefix="corpus-peer-") as directory:
        ports, _kept = await serve(pathlib.Path(directory))
        os.write(options.ready_fd, f"{ports}\n".encode())
        driving = asyncio.ensure_future(clients.run()) if options.drive else None
        await commands(clients)
        if driving:
            driving.cancel()


asyncio.run(main())
