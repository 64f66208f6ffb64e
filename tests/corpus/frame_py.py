"""What the corpus' Python scenarios share; the same as frame.h: parameters from the seed, the load's shape, the truth."""

import argparse
import os
import random
import select
import signal
import sys
import threading
import time


class Frame:
    def __init__(self):
        self.scenarios, self.kept, self.leaks, self.lock = {}, [], 0, threading.Lock()
        self.refused = int(os.environ.get("PEER_REFUSED", 0))
        self.began, self.stopped, self.ended, self.done = None, False, False, 0
        self.on_end = None

    def main(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("scenario", choices=self.scenarios)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--duration", type=float, default=30)
        parser.add_argument("--shape", default="steady")
        parser.add_argument("--ready-fd", type=int)
        parser.add_argument("--truth")
        parser.add_argument("--control", action="store_true")
        self.options = parser.parse_args()
        self.random = random.Random(self.options.seed)
        self.rate, self.burst = self.random.randint(5, 20), self.random.randint(8, 25)
        self.period, self.stop_after = self.random.uniform(2, 5), self.options.duration * self.random.uniform(0.25, 0.5)
        self.truth = open(self.options.truth, "w") if self.options.truth else None
        self.write_truth()
        signal.signal(signal.SIGTERM, self.on_term)
        self.scenarios[self.options.scenario]()

    def on_term(self, *_):
        self.ended = True
        if self.on_end:
            threading.Thread(target=self.on_end, daemon=True).start()

    def write_truth(self):
        if self.truth:
            self.truth.seek(0)
            self.truth.write('{"scenario":"%s","shape":"%s","leaked":%8d}\n' % (self.options.scenario, self.options.shape, self.leaks))
            self.truth.flush()

    def ready(self, port=0):
        if self.options.ready_fd is not None:
            os.write(self.options.ready_fd, f"{port} {os.getpid()}\n".encode())
            os.close(self.options.ready_fd)
        if not self.options.control:
            self.began = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.began if self.began is not None else 0

    def ending(self):
        return self.ended or self.elapsed() >= self.options.duration + (150 if self.options.control else 0)

    def level(self):
        return 1 + min(3, int(4 * self.elapsed() / self.options.duration)) if self.options.shape == "stepped" else 2

    def listen(self, seconds):
        """Waits so long, or until stdin says something."""
        inputs = [sys.stdin] if self.options.control else []
        if not select.select(inputs, [], [], max(0, min(seconds, 0.5)))[0]:
            return
        word = os.read(sys.stdin.fileno(), 1)
        if not word:
            self.ended = True
        elif word == b"g" and self.began is None:
            self.began = time.monotonic()
        elif word == b"s":
            self.stopped = self.began is not None

    def gap(self):
        jitter = self.random.uniform(0.7, 1.3)
        if self.options.shape == "bursty":
            return 0.02 if self.done % self.burst else self.period * jitter
        if self.options.shape == "stepped":
            return jitter * 2 / (self.rate * self.level())
        return jitter / self.rate

    def operations(self):
        self.ready()
        due = 0.0
        while not self.ending():
            quiet = self.began is None or self.stopped or (self.options.shape == "stops" and self.elapsed() > self.stop_after)
            if quiet or self.elapsed() < due:
                self.listen(0.5 if quiet else due - self.elapsed())
                continue
            self.done += 1
            due = max(due, self.elapsed() - 1) + self.gap()
            yield self.done


FRAME = Frame()
operations = FRAME.operations


def scenario(function):
    FRAME.scenarios[function.__name__] = function
    return function


def peer_port():
    return int(os.environ["PEER_PORT"])


def draw(low, high):
    return FRAME.random.randint(low, max(low, high))


def one_in(n):
    return FRAME.random.randrange(n) == 0


def leaked(sockets=1):
    with FRAME.lock:
        FRAME.leaks += sockets
        FRAME.write_truth()


def serve_commands(port, on_end):
    """For servers: says that they are ready, and calls `on_end` when it is time to end."""
    FRAME.on_end = on_end
    FRAME.ready(port)

    def wait():
        while not FRAME.ending():
            FRAME.listen(0.5)
        on_end()

    threading.Thread(target=wait, daemon=True).start()
