"""INNOCENT under check: a server that SIGTERM ends while 20 clients are connected, as every server in an integration test. Nothing
could have closed these sockets before. One connection more was closed as usual, so the others do have a sibling.

    sockleak check -- python3 sigterm_held_clients.py HOW FIFO    no LEAK, no SUSPECT of 0.50 or more

HOW the server ends: `handler` exits in its handler of the signal; `default` has none. The server writes its process id to FIFO when all
are connected, and its clients stay until it is gone.
"""

import os
import signal
import socket
import sys
import threading

HELD = 20


def clients(port, server_lives):
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(HELD)]
    socket.create_connection(("127.0.0.1", port)).close()
    os.read(server_lives, 1)
    return held


def serve(connection, closed):
    while connection.recv(100):
        pass
    connection.close()
    closed.set()


def main():
    how, fifo = sys.argv[1:]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        port = listener.getsockname()[1]
        listener.close()
        os.close(write_end)
        clients(port, read_end)
        os._exit(0)
    os.close(read_end)
    if how == "handler":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    closed = threading.Event()
    for _ in range(HELD + 1):
        threading.Thread(target=serve, args=(listener.accept()[0], closed), daemon=True).start()
    closed.wait()
    with open(fifo, "w", encoding="ascii") as told:
        told.write(f"{os.getpid()}\n")
    while True:
        signal.pause()


main()
