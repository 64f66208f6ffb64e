"""One run of one program of the corpus: its peer, its load, sockleak beside it. Waits on pipes; pauses are only what a mode says of time."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import select
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 60  # seconds that anything may take beyond its time on a busy machine
CHECK_LIFE = 30
HELD_OUT_DRAW = 2  # to be raised when somebody has looked at what was held out
LOADS = ("before", "during", "through", "stopped")
MODES = tuple(f"{seconds}s-{load}" for seconds in (10, 30, 60) for load in LOADS) + ("check",)
BEFORE = {"before": 8, "through": 5}  # seconds of load until the attach


@dataclasses.dataclass(frozen=True)
class Job:
    program: object
    mode: str
    seed: int

    @property
    def name(self):
        return f"{self.program.name}@{self.mode}#{self.seed}"

    @property
    def file_name(self):
        return self.name.replace("/", "_")

    @property
    def shape(self):
        """Every program meets every shape of load; `stops` is what the mode `stopped` is by itself."""
        shapes = ("steady", "stepped", "bursty") + (("stops",) if self.mode == "check" else ())
        return random.Random(f"{self.program.name} {self.mode} {self.seed}").choice(shapes)

    @property
    def number(self):
        """What the program and its peer draw their parameters from."""
        return int.from_bytes(hashlib.sha256(f"{self.program.name} {self.mode} {self.seed}".encode()).digest()[:4], "big")

    @property
    def held_out(self):
        """A third of the runs is for no fit. By program and seed, so that no mode tells about another."""
        return hashlib.sha256(f"{HELD_OUT_DRAW} {self.program.name} {self.seed}".encode()).digest()[0] % 3 == 0


def command_of(program, build):
    scenario = program.scenario
    return {
        "c": [build / "corpus_c", scenario],
        "cpp": [build / "corpus_c", scenario],
        "py": ["/usr/bin/python3", HERE / "corpus.py", scenario],
        "rb": ["ruby", HERE / "corpus.rb", scenario],
        "pl": ["perl", HERE / "corpus.pl", scenario],
        "php": ["php", HERE / "corpus.php", scenario],
        "js": ["node", HERE / "corpus.js", scenario],
        "go": [build / "corpus_go", scenario],
        "java": ["java", "-XX:+UseSerialGC", "-Xmx64m", "-cp", build / "corpus_java", "Corpus", scenario],
    }[program.language]


class Child:
    """A process that says when it is ready and does what it is told through stdin."""

    def __init__(self, words, environment=None, commanded=True, extra=(), log=None):
        self.ready_read, ready_write = os.pipe()
        words = [str(word).replace("READY_FD", str(ready_write)) for word in words]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE if commanded else subprocess.DEVNULL, stdout=log or subprocess.DEVNULL,
            stderr=log or subprocess.DEVNULL, pass_fds=[ready_write, *extra], env=environment, text=True)
        os.close(ready_write)

    def ready(self, what):
        """Its first line."""
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self.ready_read], [], [], PATIENCE)[0]:
                raise RuntimeError(f"{what}: not ready within {PATIENCE} s")
            more = os.read(self.ready_read, 256)
            if not more:
                raise RuntimeError(f"{what}: ended before it was ready ({self.process.poll()})")
            line += more
            if what == "sockleak":
                break
        return line.decode("latin-1").split()

    def tell(self, *words):
        with contextlib.suppress(OSError):
            for word in words:
                self.process.stdin.write(word + "\n")
            self.process.stdin.flush()

    def wait(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self, patience=5):
        with contextlib.suppress(OSError):
            if self.process.stdin:
                self.process.stdin.close()
        for sign in (None, signal.SIGTERM, signal.SIGKILL):
            if sign and self.process.poll() is None:
                self.process.send_signal(sign)
            if self.wait(patience) is not None:
                break
        with contextlib.suppress(OSError):
            os.close(self.ready_read)


def leaked(truth):
    try:
        return json.loads(truth.read_text())["leaked"]
    except (OSError, ValueError):
        return 0


class Run:
    def __init__(self, job, opens, sockleak, build, directory, life=CHECK_LIFE):
        self.job, self.opens, self.sockleak, self.build, self.life = job, opens, sockleak, build, life
        base = directory / job.file_name
        self.record, self.report, self.truth, self.meta = (base.with_name(base.name + suffix)
                                                           for suffix in (".slk", ".report.json", ".truth", ".meta.json"))
        self.log = open(base.with_name(base.name + ".log"), "w")

    def run(self):
        for file in (self.record, self.report, self.truth, self.meta):
            file.unlink(missing_ok=True)
        options = ["--seed", self.job.number, "--shape", self.job.shape, "--duration", self.load_time()]
        drive = ["--drive", self.job.program.drive] if self.job.program.drive else []
        peer = Child([sys.executable, HERE / "peer.py", "--ready-fd", "READY_FD", *drive, *options], log=self.log)
        try:
            port, refused, full, path = peer.ready("peer")
            environment = {**os.environ, "PEER_PORT": port, "PEER_REFUSED": refused, "PEER_FULL": full, "PEER_UNIX": path}
            words = [*command_of(self.job.program, self.build), *options, "--ready-fd", "READY_FD", "--truth", self.truth]
            (self.check if self.job.mode == "check" else self.trace)(peer, words, environment)
        finally:
            peer.end()
            self.log.close()
        self.meta.write_text(json.dumps({
            "program": self.job.program.name, "mode": self.job.mode, "seed": self.job.seed, "shape": self.job.shape,
            "opens": sorted(self.opens),  # as the sources are now
            "leaked_at_attach": self.at_attach, "leaked": self.at_end}) + "\n")

    def load_time(self):
        if self.job.mode == "check":
            return self.life + (10 if self.job.program.end == "term" else 0)  # the signal is to come first
        seconds, load = int(self.job.mode.split("s-")[0]), self.job.mode.split("-")[1]
        return {"before": BEFORE["before"], "through": BEFORE["through"] + seconds}.get(load, seconds)

    def session(self, command, *target):
        return [self.sockleak, command, "-q", "-v", "--json", "-o", self.report, "--record", self.record, *target]

    def trace(self, peer, words, environment):
        seconds, load = int(self.job.mode.split("s-")[0]), self.job.mode.split("-")[1]
        program = Child([*words, "--control"], environment, log=self.log)
        try:
            port, pid = program.ready(self.job.name)
            peer.tell(f"drive {port}")

            def both(word):
                peer.tell(word)
                program.tell(word)

            if load in BEFORE:
                both("go")
                time.sleep(BEFORE[load])  # the load's own time
            if load == "before":
                both("stop")
                time.sleep(2)  # what is under way comes to its end
            tracer = Child([*self.session("trace", "-p", pid, "-d", f"{seconds}s"), "--ready-fd", "READY_FD"],
                           commanded=False, log=self.log)
            try:
                tracer.ready("sockleak")
                self.at_attach = leaked(self.truth)
                if load in ("during", "stopped"):
                    both("go")
                if load == "stopped" and tracer.wait(seconds / 3) is None:
                    both("stop")
                status = tracer.wait(seconds + 3 * PATIENCE)
                self.at_end = leaked(self.truth)
                if status != 0:
                    raise RuntimeError(f"sockleak trace ended with {status}")
            finally:
                tracer.end()
        finally:
            program.end()

    def check(self, peer, words, environment):
        session = Child([*self.session("check"), "--", *words], environment, commanded=False, log=self.log)
        try:
            port, pid = session.ready(self.job.name)
            self.at_attach = 0
            peer.tell(f"drive {port}", "go")
            if self.job.program.end == "term" and session.wait(self.life) is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
            status = session.wait(self.life + 2 * PATIENCE)
            self.at_end = leaked(self.truth)
            if status not in (0, 1, 4):
                raise RuntimeError(f"sockleak check ended with {status}")
        finally:
            session.end()
