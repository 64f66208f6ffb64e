#!/usr/bin/env python3
"""Sound programs from Debian, and the corpus' pools under stepped load: nothing of them may be accused.

    tests/corpus/innocents.py [--only REGEX] [--modes trace|check] [--seconds 45]

Each is attached to while it works, and run under `check` until a signal ends it with its clients connected. A row is good if
there is no leak, nothing is suspected with a confidence of 0.5 or more, and the data is complete.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import running
import scoring
from programs import PROGRAMS
from sound_servers import SERVERS, Box

# Pools, log-ins and start-ups that the corpus has already; here for as long as the servers and with a load that grows.
PROGRAM_ROWS = ("java/http_client_pool", "py/requests_pool", "py/http_pool", "js/agent_pool", "js/fetch_pool", "go/transport_pool",
                "c/startup", "c/pool_lifo", "go/chat", "js/chat")
CHECK_SECONDS = 20


@dataclasses.dataclass
class Row:
    name: str
    mode: str
    accused: list
    suspected: list
    open: int
    complete: bool
    problem: str = ""

    @property
    def good(self):
        return not (self.accused or self.suspected or self.problem) and self.complete


def row_of(name, mode, report):
    findings = report["findings"]
    return Row(name, mode, [scoring.show(one) for one in findings if one["verdict"] in scoring.ACCUSED],
               [scoring.show(one) for one in findings if one["verdict"] == "suspect" and one["confidence"] >= 0.5],
               report["totals"]["open"], report["completeness"]["complete"])


def attached(name, options, directory):
    box, out = Box(directory), directory / "report.json"
    try:
        SERVERS[name](box)
        time.sleep(3)  # some of the clients were there before the attach
        subprocess.run([options.sockleak, "trace", "-q", "-p", str(box.main_pid), "-d", f"{options.seconds}s", "--json", "-o", out,
                        "--record", directory / "record.slk"], check=True, timeout=options.seconds + 180, stdout=box.log, stderr=box.log)
    finally:
        box.close()
    return row_of(name, "trace", json.loads(out.read_text()))


def checked(name, options, directory):
    out = directory / "report.json"
    box = Box(directory, [options.sockleak, "check", "-q", "--json", "-o", out, "--record", directory / "record.slk", "--"])
    try:
        SERVERS[name](box)
        time.sleep(CHECK_SECONDS)  # of load
        os.kill(box.main_pid, box.sign)
        box.main.wait(120)
    finally:
        box.close()
    return row_of(name, "check", json.loads(out.read_text()))


class SteppedJob(running.Job):
    shape = "stepped"


def program(name, options, directory):
    job = SteppedJob(next(one for one in PROGRAMS if one.name == name), f"{options.seconds}s-through", 7)
    run = running.Run(job, (), options.sockleak, options.build, directory)
    run.run()
    return row_of(name, "trace", json.loads(run.report.read_text()))


def one_row(task, options, scratch):
    work, name, mode = task
    directory = pathlib.Path(options.keep or scratch) / f"{name.replace('/', '_')}-{mode}"
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    try:
        row = work(name, options, directory)
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        row = Row(name, mode, [], [], 0, False, f"not run: {error}")
    print(f"{name} {mode}: {'good' if row.good else 'WRONG'} {row.problem}", file=sys.stderr, flush=True)
    return row


def print_table(rows):
    cells = [[row.name, row.mode, row.open, len(row.accused), len(row.suspected), "yes" if row.complete else "NO",
              "good" if row.good else row.problem or "WRONG"] for row in rows]
    print(scoring.table(["program", "mode", "open", "leaks", "suspects >= 0.5", "complete", "result"], cells))
    for row in rows:
        for text in row.accused + row.suspected:
            print(f"  {row.name} {row.mode}: {text}")
    print(f"{sum(row.good for row in rows)} of {len(rows)} good")


def main(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    repository = running.HERE.parents[1]
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--modes", default="trace|check", metavar="REGEX")
    parser.add_argument("--seconds", type=int, default=45)
    parser.add_argument("-k", "--at-once", type=int, default=6, metavar="K")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="where reports, recordings and logs stay")
    parser.add_argument("--sockleak", type=pathlib.Path, default=os.environ.get("SOCKLEAK", repository / "build/release/sockleak"))
    parser.add_argument("--build", type=pathlib.Path, default=os.environ.get("SOCKLEAK_CORPUS", repository / "build/release/tests/corpus"))
    options = parser.parse_args(words)
    # Whoever ends this ends the servers, too: rows that run come to their end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    tasks = [(attached, name, "trace") for name in SERVERS] + [(checked, name, "check") for name in SERVERS]
    tasks += [(program, name, "trace") for name in PROGRAM_ROWS]
    tasks = [task for task in tasks if re.search(options.only, task[1]) and re.fullmatch(options.modes, task[2])]
    with tempfile.TemporaryDirectory(prefix="innocents-") as scratch, concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        os.chmod(scratch, 0o755)
        try:
            rows = list(pool.map(lambda task: one_row(task, options, scratch), tasks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    print_table(rows)
    return 0 if rows and all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
