"""A server of asyncio that forgets the connections of clients who send nonsense; --repaired closes them. The clients are in
another thread and close well. Prints its truth as one JSON line: --truth FILE. Runs on every Python from 3.8 on."""

import argparse
import asyncio
import json
import os
import socket
import sys
import threading

REQUESTS = 20
NONSENSE_EVERY = 4

kept = []  # what leaks stays referenced: otherwise Python closes it with the last reference
listened = {}


def here(place):
    """Notes the call of this line."""
    frame = sys._getframe(1)
    place.update(file=os.path.basename(frame.f_code.co_filename), line=frame.f_lineno,
                 function=getattr(frame.f_code, "co_qualname", frame.f_code.co_name), count=place.get("count", 0) + 1)


class Server:
    def __init__(self, repaired):
        self.repaired, self.served, self.leaked = repaired, 0, 0
        self.done = asyncio.Event()

    async def serve(self, reader, writer):
        request = await reader.read(1)
        writer.write(request)
        if request == b"?" and not self.repaired:
            kept.append((reader, writer))  # the leak
            self.leaked += 1
        else:
            writer.transport.abort()  # closes in the next turn of the loop
        self.served += 1
        if self.served == REQUESTS:
            self.done.set()

    async def open(self):
        here(listened); return await asyncio.start_server(self.serve, "127.0.0.1", 0)  # one line: the truth is the call's


def call(port):
    for number in range(REQUESTS):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"!" if number % NONSENSE_EVERY else b"?")
            client.recv(1)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repaired", action="store_true")
    parser.add_argument("--truth", default="/dev/stdout")
    arguments = parser.parse_args()
    server = Server(arguments.repaired)
    listener = await server.open()
    clients = threading.Thread(target=call, args=(listener.sockets[0].getsockname()[1],))
    clients.start()
    await server.done.wait()
    await asyncio.get_running_loop().run_in_executor(None, clients.join)
    listener.close()
    with open(arguments.truth, "w") as file:
        json.dump({"program": "event_loop.py", "leaked": server.leaked, "created": REQUESTS, "origin": "accept",
                   "listener_created_at": listened}, file)
    os._exit(0)  # an ordinary end closes what is still referenced: then nothing is open when the process ends


asyncio.run(main())
