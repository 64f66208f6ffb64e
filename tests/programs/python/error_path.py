"""A client that leaks in one of several ways that Python makes easy, each repaired by --repaired:

    socket        a connection is forgotten when the backend refuses
    http.client   a response is kept and neither read nor closed
    urllib        the same through urllib.request.urlopen()
    pool          nothing: a keep-alive pool of HTTPConnection; waits for a line on stdin before it ends

The backend is a thread of the same process and closes well. The client runs in another thread, below a C function that
calls Python again. Runs on every Python from 3.8 on; standard library only.
"""

import argparse
import functools
import http.client
import json
import os
import queue
import socket
import sys
import threading
import urllib.request

REQUESTS = 20
REFUSE_EVERY = 4
POOL = 3

opened, answered, closed = {}, {}, {}
kept = []  # what leaks stays referenced: otherwise Python closes it with the last reference
arguments = None


def here(place):
    """Notes the call of this line, and the Python frames that lead to it."""
    frame, stack = sys._getframe(1), []
    while frame is not None:
        code = frame.f_code
        stack.append({"file": os.path.basename(code.co_filename), "line": frame.f_lineno,
                      "function": getattr(code, "co_qualname", code.co_name)})
        frame = frame.f_back
    place.update(stack[0], stack=stack, count=place.get("count", 0) + 1)


def serve(listener, connections, keep_alive):
    """One response per connection, or as many as are asked for; says no to every fourth."""
    number = 0
    for _ in range(connections):
        client, _ = listener.accept()
        with client, client.makefile("rb") as lines:
            while lines.readline():
                while lines.readline().strip():
                    pass
                status = b"200 OK" if number % REFUSE_EVERY or keep_alive else b"503 Busy"
                number += 1
                client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
                if not keep_alive:
                    break
    listener.close()


class Backend:
    def __init__(self, port):
        self.port = port

    def connect(self):
        here(opened); return socket.create_connection(("127.0.0.1", self.port))  # one line: the truth is the call's

    def ask(self):
        connection = self.connect()
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        here(answered); answer = connection.recv(4096)  # as above
        if b"503" in answer:
            if arguments.repaired:
                connection.close()
            kept.append(connection)
            return False
        here(closed); connection.close()  # as above
        return True


def ask_http_client(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    here(opened); connection.request("GET", "/", headers={"Connection": "close"})  # as above
    return finish(connection.getresponse(), connection)


def ask_urllib(port):
    try:
        here(opened); return finish(urllib.request.urlopen("http://127.0.0.1:%d/" % port))  # as above
    except urllib.error.HTTPError as refusal:
        return finish(refusal)


def finish(response, connection=None):
    if response.status == 200 or arguments.repaired:
        response.read()
        response.close()
        if connection:
            connection.close()
        return True
    kept.append((response, connection))
    return False


def ask_pool(pool):
    connection = pool.get()
    connection.request("GET", "/")
    connection.getresponse().read()
    pool.put(connection)
    return True


def count_refusals(ask):
    """functools.reduce is C: each call of `ask` is a new call of the interpreter's loop."""
    return functools.reduce(lambda refused, _: refused + (not ask()), range(REQUESTS), 0)


def main():
    global arguments
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", default="socket", choices=("socket", "http.client", "urllib", "pool"))
    parser.add_argument("--repaired", action="store_true")
    parser.add_argument("--truth", default="/dev/stdout")
    arguments = parser.parse_args()

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    pool = queue.Queue()
    for _ in range(POOL):
        pool.put(http.client.HTTPConnection("127.0.0.1", port))
    ask = {"socket": Backend(port).ask, "http.client": functools.partial(ask_http_client, port),
           "urllib": functools.partial(ask_urllib, port), "pool": functools.partial(ask_pool, pool)}[arguments.case]
    handlers = [threading.Thread(target=serve, args=(listener, REQUESTS, False))]
    if arguments.case == "pool":  # its connections live at the same time
        handlers = [threading.Thread(target=serve, args=(listener.dup(), 1, True)) for _ in range(POOL)]
    for handler in handlers:
        handler.start()
    result = []
    client = threading.Thread(target=lambda: result.append(count_refusals(ask)), name="client")
    client.start()
    client.join()
    if arguments.case == "pool":
        print("warm", file=sys.stderr, flush=True)
        sys.stdin.readline()
        while not pool.empty():
            pool.get().close()
        for handler in handlers:
            handler.join()
        listener.close()
        return
    for handler in handlers:
        handler.join()
    with open(arguments.truth, "w") as file:
        json.dump({"program": "error_path.py", "python": sys.version.split()[0], "leaked": 0 if arguments.repaired else result[0],
                   "created": opened["count"], "origin": "connect", "created_at": opened,
                   "closed_at": [closed] if closed else [], "touched_at": answered}, file)
    os._exit(0)  # an ordinary end closes what is still referenced: then nothing is open when the process ends


main()
